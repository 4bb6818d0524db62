/** When a push is sent, and when not. */

import assert from 'node:assert/strict'
import test from 'node:test'
import type { Claim } from '../../plugins/xaps/device/store.ts'
import { Coalescer, type Entry } from '../../plugins/xaps/push/coalesce.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { NO_JOURNAL } from '../support/journal.ts'
import { deviceOf, SETTINGS, targetOf } from './parts.ts'
import { type BenchOptions, bench, play, said, slowly, times } from './sender-bench.ts'

type Happening = readonly [at: number, kind?: 'new' | 'change']

const every = (ms: number, until: number): Happening[] =>
  Array.from({ length: until / ms }, (_, n) => [n * ms])

const TIMELINES: Record<string, readonly [events: readonly Happening[], pushes: number[], BenchOptions?]> = {
  'a new mail is pushed at once, and what follows within the window by one push at its end': [
    every(1_000, 5_000),
    [0, 5_000],
  ],
  'a change waits for change_delay': [[[0, 'change']], [30_000]],
  'another push covers a change that waits': [[[0, 'change'], [20_000]], [20_000]],
  'steady traffic is pushed once per window': [
    every(100, 30_000),
    [0, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000],
  ],
  'an event that comes in while a push is under way is covered by the next one': [
    [[0], [500]],
    [0, 5_000],
    { latencyMs: 1_000 },
  ],
  'what another process has covered is not pushed again; what came in meanwhile keeps its own time': [
    [[0], [1, 'change']],
    [30_001],
    answering({ kind: 'covered' }, { kind: 'granted', id: 1 }, { kind: 'covered' }),
  ],
  'a push that has to wait for the window of another process is sent at its end': [
    [[0]],
    [3_000],
    answering({ kind: 'wait', ms: 3_000 }, { kind: 'granted', id: 1 }),
  ],
}

/** A store that answers claims so, one after the other. */
function answering(...claims: Claim[]): BenchOptions {
  return { claim: () => async () => claims.shift() ?? { kind: 'covered' } }
}

for (const [name, [events, pushes, options]] of Object.entries(TIMELINES)) {
  test(name, async () => {
    const b = bench(options)
    const start = b.clock.now()
    await play(
      b,
      events.map(([ms, kind = 'new']) => ({ at: start + ms, kind, device: 1, process: 0 })),
    )
    assert.deepEqual(times(b, 1, start), pushes)
  })
}

test('an event that comes in while the store is asked is covered by the push that follows', async () => {
  for (const kind of ['new', 'change'] as const) {
    const b = bench({ claim: slowly(() => 50, 50) })
    b.happen(1)
    await b.clock.advance(75)
    // The claim counts already, so the store would not call this event covered.
    b.happen(1, kind)
    await b.clock.advance(25)
    assert.equal(b.apple.arrivals.length, 1)
    assert.equal(b.sender.pending, 0, 'nothing is left to be pushed')
    await b.clock.advance(60_000)
    assert.equal(b.apple.arrivals.length, 1)
  }
})

test('an event that is looked up while the push that covers it is under way, or later, makes no other', async () => {
  const b = bench({ latencyMs: 1_000 })
  const start = b.clock.now()
  b.happen(1)
  await b.clock.advance(500)
  b.sender.add(targetOf(1), { kind: 'new', at: start - 10 })
  b.happen(1, 'change')
  await b.clock.advance(600)
  b.sender.add(targetOf(1), { kind: 'new', at: start - 10 })
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [0, 30_500], 'the change keeps its own time')
})

test('the newest registration of a device is the one that is pushed', async () => {
  const b = bench()
  b.happen(1)
  await b.clock.advance(1_000)
  const changed = { user: 'user1@example.org', device: deviceOf(1, { lastSeen: 99_000 }) }
  b.apple.answer = () => said(410, 'Unregistered')
  b.sender.add(changed, { kind: 'new', at: b.clock.now() })
  await b.clock.advance(10_000)
  assert.equal(b.settled.at(-1)?.target.device.lastSeen, 99_000)
})

test('a device that listens to a topic of other credentials is not pushed', async () => {
  const b = bench()
  b.apple.mayPush = ({ topic }) => topic === 'other'
  b.happen(1)
  await b.clock.advance(60_000)
  assert.equal(b.apple.arrivals.length, 0)
  assert.equal(b.sender.pending, 0)
  assert.deepEqual(b.log.loud(), [])
})

test('a shorter window and a shorter delay hold for what waits, too, and longer ones for what comes', async () => {
  const b = bench({ windowMs: 3_600_000, changeDelayMs: 1_800_000, maxInFlight: 1 })
  const start = b.clock.now()
  b.happen(1)
  await b.clock.advance(1_000)
  b.happen(1)
  b.happen(2, 'change')
  await b.clock.advance(9_000)
  Object.assign(b.settings, { windowMs: 20_000, changeDelayMs: 30_000 })
  b.sender.settingsChanged()
  await b.clock.advance(60_000)
  const waited = [1, 2].map(device => times(b, device, start).at(-1) ?? 0)
  assert.ok((waited[0] ?? 0) >= 20_000 && (waited[0] ?? 0) <= 30_000, `window: ${waited[0]}`)
  assert.ok((waited[1] ?? 0) >= 31_000 && (waited[1] ?? 0) <= 40_000, `delay: ${waited[1]}`)
  b.settings.windowMs = 100_000
  b.sender.settingsChanged()
  b.happen(1)
  const from = b.clock.now() - start
  await b.clock.advance(1_000_000)
  assert.ok((times(b, 1, start).at(-1) ?? 0) >= Math.max(from, (waited[0] ?? 0) + 100_000))
})

test('more pushes at a time begin as soon as they may', async () => {
  const b = bench({ maxInFlight: 1, latencyMs: 10_000 })
  for (let device = 1; device <= 10; device += 1) b.happen(device)
  await b.clock.advance(1_000)
  assert.equal(b.apple.inFlight, 1)
  b.settings.maxInFlight = 10
  b.sender.settingsChanged()
  await b.clock.advance(1)
  assert.equal(b.apple.inFlight, 10)
  await b.clock.advance(60_000)
})

test('events that come after the clock was set back by a day do not put off what rests', async () => {
  const held = new FakeClock()
  let back = 0
  const clock = {
    now: () => held.now() - back,
    after: (ms: number, run: () => void) => held.after(ms, run),
  }
  const due: Entry[] = []
  const coalescer = new Coalescer(SETTINGS, entry => due.push(entry), NO_JOURNAL, clock)
  const add = () => coalescer.add('1', targetOf(1), { kind: 'new', at: clock.now() })
  const entry = add()
  coalescer.begin(entry)
  coalescer.wait(entry, SETTINGS.windowMs)
  back = 86_400_000
  for (let count = 0; count < 8; count += 1) {
    add()
    await held.advance(1_000)
  }
  assert.equal(due.length, 2)
})
