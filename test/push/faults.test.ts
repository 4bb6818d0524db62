/** Random faults of Apple and of the store while events come in: whatever happens, nothing is lost and little doubled. */

import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { Verdict } from '../../plugins/xaps/apns/verdict.ts'
import { PERIOD_MS } from '../../plugins/xaps/base/transition-log.ts'
import { assertWindows, of, pushTimes, type Seen, schedules } from './model.ts'
import { OK, SETTINGS } from './parts.ts'
import {
  BAD_CERTIFICATE,
  type Bench,
  type BenchOptions,
  bench,
  play,
  REFUSED,
  SERVER_ERROR,
  STREAM_RESET,
  said,
  slowly,
  TOO_MANY,
  times,
  UNAVAILABLE,
} from './sender-bench.ts'

const FAULTS: readonly Verdict[] = [
  OK,
  REFUSED,
  STREAM_RESET,
  SERVER_ERROR,
  UNAVAILABLE,
  said(503, 'Shutdown', 3_000),
  TOO_MANY,
  BAD_CERTIFICATE,
  said(403, 'ExpiredProviderToken'),
]

/** All is well again at the latest so long after the last fault: a minute for credentials, the waits, the log's period. */
const RECOVERY_MS = 200_000 + PERIOD_MS

const DEVICES = [0, 1, 2]

interface Weather {
  /** What Apple answers, one after the other. */
  readonly answers: readonly Verdict[]
  /** Whether the store fails, one claim after the other; a claim may count although its answer is lost. */
  readonly storeFails: readonly ('no' | 'before' | 'after')[]
}

const weathers: fc.Arbitrary<Weather> = fc.record({
  answers: fc.array(fc.constantFrom(...FAULTS), { maxLength: 40, size: 'max' }),
  storeFails: fc.array(fc.constantFrom('no', 'no', 'before', 'after'), { maxLength: 40, size: 'max' }),
})

/** Plays `events` in bad weather that clears up by itself or at the end of the events. */
async function playIn(weather: Weather, events: readonly Seen[], options: BenchOptions = {}): Promise<Bench> {
  const answers = [...weather.answers]
  const storeFails = [...weather.storeFails]
  const claim: BenchOptions['claim'] = (ask, clock) => {
    const slow = options.claim?.(ask, clock) ?? ask
    return async (push, request) => {
      const fails = storeFails.shift()
      if (fails === 'before') throw new Error('store away')
      const answer = await slow(push, request)
      if (fails === 'after') throw new Error('answer lost')
      return answer
    }
  }
  const b = bench({ ...options, latencyMs: 20, claim })
  b.apple.answer = () => answers.shift() ?? OK
  await play(b, events, 0)
  while (answers.length > 0) {
    await b.clock.advance(10_000)
    if (b.senders.every(({ pending }) => pending === 0)) break
  }
  await b.clock.advance(RECOVERY_MS)
  return b
}

test('in any weather one process covers every event, with no more pushes than the model, and leaves nothing behind', async () => {
  await fc.assert(
    fc.asyncProperty(schedules(3, 1), weathers, async (events, weather) => {
      const played = await playIn(weather, events)
      for (const device of DEVICES) {
        assertCovered(played, device, events)
        const pushes = played.apple.accepted(device)
        const most = pushTimes(of(device, events), SETTINGS, 20).length
        assert.ok(pushes.length <= most, `${pushes.length} pushes, the model makes ${most}`)
        assertWindows(pushes)
      }
      assert.equal(played.sender.pending, 0)
      assert.equal(played.clock.timers, 0)
    }),
    { numRuns: 400 },
  )
})

test('in any weather four processes leave no event uncovered', async () => {
  await fc.assert(
    fc.asyncProperty(
      schedules(3, 4),
      weathers,
      fc.infiniteStream(fc.nat(30)),
      async (events, weather, ms) => {
        const played = await playIn(weather, events, {
          processes: 4,
          claim: slowly(() => ms.next().value ?? 0),
        })
        for (const device of DEVICES) assertCovered(played, device, events)
        assert.equal(played.clock.timers, 0)
      },
    ),
    { numRuns: 300 },
  )
})

test('after an outage four processes push each device once', async () => {
  const { apple, clock, happen } = bench({ processes: 4, latencyMs: 20 })
  apple.answer = () => REFUSED
  for (let round = 0; round < 10; round += 1) {
    for (let device = 0; device < 50; device += 1) happen(device, 'new', (device + round) % 4)
    await clock.advance(7_000)
  }
  apple.answer = () => OK
  await clock.advance(60_000)
  for (let device = 0; device < 50; device += 1) {
    assert.equal(apple.accepted(device).length, 1, `device ${device}`)
  }
})

test('a process that dies after it has claimed costs one push at most: the next event is pushed again', async () => {
  const { apple, clock, happen, sender: dying } = bench({ processes: 2, latencyMs: 50 })
  apple.answer = () => REFUSED
  happen(0)
  await clock.advance(60)
  dying.close()
  apple.answer = () => OK
  await clock.advance(10_000)
  const at = clock.now()
  happen(0, 'new', 1)
  await clock.advance(10_000)
  assert.deepEqual(apple.accepted(0), [at])
})

test('a change that waits longer than the store keeps claims is pushed all the same', async () => {
  const b = bench({ processes: 2, changeDelayMs: 3_600_000, claimsKeptMs: 60_000 })
  const start = b.clock.now()
  b.happen(0, 'change')
  await b.clock.advance(1_800_000)
  b.happen(0, 'new', 1)
  await b.clock.advance(86_400_000)
  assert.deepEqual(times(b, 0, start), [1_800_000, 3_600_000])
})

function assertCovered({ apple }: Bench, device: number, events: readonly Seen[]): void {
  const last = of(device, events).at(-1)
  if (!last) return
  const pushes = apple.accepted(device)
  assert.ok(
    pushes.some(at => at >= last.at),
    `device ${device}: event at ${last.at}, pushes at ${pushes}`,
  )
}
