import assert from 'node:assert/strict'
import test from 'node:test'
import { Collection, SAMPLE_EVERY_MS } from '../../plugins/xaps/observe/collection.ts'
import { Metrics, NO_SUMS } from '../../plugins/xaps/observe/metrics.ts'
import type { Report } from '../../plugins/xaps/observe/report.ts'
import { FakeClock } from '../support/fake-clock.ts'

function setup() {
  const clock = new FakeClock(1_000_000)
  const report = (process: string, more: Partial<Report> = {}): Report => ({
    process,
    pid: 1,
    startedAt: 0,
    at: clock.now(),
    sums: NO_SUMS,
    pending: 0,
    apple: {},
    store: {},
    decided: [],
    ...more,
  })
  const own = { metrics: new Metrics() }
  const collection = new Collection(
    {
      own: () => report('companion', { sums: own.metrics.sums }),
      spooled: () => 2,
      devices: () => undefined,
      events: () => 0,
      inHaraka: true,
      version: '1',
      configuration: () => 'v1',
    },
    clock,
  )
  return { clock, report, own, collection }
}

const names = (collection: Collection) => collection.overview().processes.map(({ process }) => process)

test('sums of all processes are one, also of a process that is gone; its state is not shown any more', async () => {
  const { clock, report, own, collection } = setup()
  own.metrics.count('xaps_pushes_total', 'sent')
  const worker = new Metrics()
  worker.count('xaps_pushes_total', 'sent', 2)
  worker.count('xaps_pushes_total', 'gone')
  collection.hear([report('worker1', { sums: worker.sums, pending: 3 })])
  assert.deepEqual(names(collection), ['worker1', 'companion'])
  await clock.advance(10_000)
  assert.deepEqual(names(collection), ['companion'])
  assert.deepEqual(collection.overview().sums.counters.xaps_pushes_total, { sent: 3, gone: 1 })
  collection.close()
})

test('the last decision on a mail of a user is known, whichever process took it, for a day', async () => {
  const { clock, report, collection } = setup()
  const decided = { user: 'anna', decision: 'covered', at: 1_000_000, mail: 'M' } as const
  collection.hear([report('worker1', { decided: [decided] })])
  collection.hear([report('worker1')])
  assert.deepEqual(collection.answer('anna').last, decided)
  assert.equal(collection.answer('bob').last, undefined)
  assert.equal(collection.answer(undefined).last, undefined)
  await clock.advance(86_400_000)
  assert.equal(collection.answer('anna').last, undefined)
  collection.close()
})

test('samples tell what came in five seconds, and how long the pushes took', async () => {
  const { clock, own, collection } = setup()
  for (let count = 0; count < 100; count += 1)
    own.metrics.observe('xaps_delivery_to_apple_seconds', count < 98 ? 8 : 400)
  own.metrics.count('xaps_decisions_total', 'pushed', 100)
  await clock.advance(SAMPLE_EVERY_MS)
  await clock.advance(SAMPLE_EVERY_MS)
  const [first, second] = collection.overview().samples
  assert.deepEqual(first?.decisions, { pushed: 100 })
  assert.ok(first?.p50 !== undefined && first.p50 > 0.005 && first.p50 <= 0.01, `p50 ${first?.p50}`)
  assert.ok(first?.p99 !== undefined && first.p99 > 0.25 && first.p99 <= 0.5, `p99 ${first?.p99}`)
  assert.deepEqual(second, { at: 1_010_000, decisions: {}, verdicts: {}, pending: 0 })
  collection.close()
})

test('each sample of a process that is alone has what came in its five seconds', async () => {
  const { clock, own, collection } = setup()
  for (const count of [1, 2, 3]) {
    own.metrics.count('xaps_decisions_total', 'pushed', count)
    own.metrics.observe('xaps_delivery_to_apple_seconds', 8)
    await clock.advance(SAMPLE_EVERY_MS)
  }
  const { samples } = collection.overview()
  assert.deepEqual(
    samples.map(({ decisions, p50 }) => [decisions.pushed, p50 !== undefined]),
    [
      [1, true],
      [2, true],
      [3, true],
    ],
  )
  collection.close()
})

test('a companion that is started again shows nothing in its samples that came before it', async () => {
  const { clock, report, collection } = setup()
  const [worker, later] = [new Metrics(), new Metrics()]
  worker.count('xaps_pushes_total', 'sent', 1_000)
  collection.hear([report('worker1', { sums: structuredClone(worker.sums) })])
  worker.count('xaps_pushes_total', 'sent', 7)
  later.count('xaps_pushes_total', 'sent', 2)
  collection.hear([
    report('worker1', { sums: structuredClone(worker.sums) }),
    report('worker2', { sums: later.sums, startedAt: clock.now() + 1_000 }),
  ])
  await clock.advance(SAMPLE_EVERY_MS)
  assert.deepEqual(collection.overview().samples[0]?.verdicts, { sent: 9 })
  collection.close()
})

test('a process that had ended before a clock was set back is not here', async () => {
  const { clock, report, collection } = setup()
  collection.hear([report('worker1', { at: clock.now() + 86_400_000 })])
  assert.deepEqual(names(collection), ['companion'])
  collection.close()
})

test('samples of a quarter of an hour are kept', async () => {
  const { clock, collection } = setup()
  await clock.advance(3_600_000)
  const { samples } = collection.overview()
  assert.equal(samples.length, 180)
  assert.equal(samples.at(-1)?.at, 1_000_000 + 3_600_000)
  collection.close()
})
