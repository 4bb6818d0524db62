/** Random faults of Apple and of the store while events come in: whatever happens, nothing is lost and little doubled. */

import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { Answer } from '../../plugins/xaps/apns/verdict.ts'
import { PERIOD_MS } from '../../plugins/xaps/base/transition-log.ts'
import { pushTimes } from './model.ts'
import { OK, SETTINGS, targetOf, tokenOf } from './parts.ts'
import { type Seen, schedules } from './schedules.ts'
import { type World, world } from './world.ts'

const FAULTS: readonly Answer[] = [
  OK,
  { fault: 'connect ECONNREFUSED', of: 'connection' },
  { fault: 'stream reset', of: 'stream' },
  { status: 500, reason: 'InternalServerError' },
  { status: 503, reason: 'ServiceUnavailable' },
  { status: 503, reason: 'Shutdown', retryAfterMs: 3_000 },
  { status: 429, reason: 'TooManyRequests' },
  { status: 403, reason: 'BadCertificate' },
  { status: 403, reason: 'ExpiredProviderToken' },
]

/** All is well again at the latest so long after the last fault: a minute for credentials, the waits, the log's period. */
const RECOVERY_MS = 200_000 + PERIOD_MS

const DEVICES = [0, 1, 2]

interface Weather {
  /** What Apple answers, one after the other. */
  readonly answers: readonly Answer[]
  /** Whether the store fails, one claim after the other; a claim may count although its answer is lost. */
  readonly storeFails: readonly ('no' | 'before' | 'after')[]
}

const weathers: fc.Arbitrary<Weather> = fc.record({
  answers: fc.array(fc.constantFrom(...FAULTS), { maxLength: 40, size: 'max' }),
  storeFails: fc.array(fc.constantFrom('no', 'no', 'before', 'after'), { maxLength: 40, size: 'max' }),
})

/** Plays `events` in bad weather that clears up by itself or at the end of the events. */
async function playIn(
  weather: Weather,
  events: readonly Seen[],
  processes: number,
  claimMs?: () => number,
): Promise<World> {
  const answers = [...weather.answers]
  const storeFails = [...weather.storeFails]
  const claimFails = () => storeFails.shift() ?? 'no'
  const played = world({ processes, latencyMs: 20, claimFails, ...(claimMs ? { claimMs } : {}) })
  const { clock, apple, senders } = played
  apple.answer = () => answers.shift() ?? OK
  for (const { at, device, kind, process } of events) {
    await clock.advance(at - clock.now())
    senders[process]?.add(targetOf(device), { kind, at })
  }
  while (answers.length > 0) {
    await clock.advance(10_000)
    if (senders.every(({ pending }) => pending === 0)) break
  }
  await clock.advance(RECOVERY_MS)
  return played
}

test('in any weather every event is followed by an accepted push, and no entry or timer is left', async () => {
  await fc.assert(
    fc.asyncProperty(schedules(3, 1), weathers, async (events, weather) => {
      const played = await playIn(weather, events, 1)
      for (const device of DEVICES) assertCovered(played, device, events)
      assert.deepEqual(
        played.senders.map(({ pending }) => pending),
        [0],
      )
      assert.equal(played.clock.timers, 0)
    }),
    { numRuns: 300 },
  )
})

test('in any weather a device gets no more pushes than the model allows, and none within a window', async () => {
  await fc.assert(
    fc.asyncProperty(schedules(3, 1), weathers, async (events, weather) => {
      const played = await playIn(weather, events, 1)
      for (const device of DEVICES) {
        const pushes = played.apple.accepted(tokenOf(device))
        const most = pushTimes(of(device, events), SETTINGS, 20).length
        assert.ok(pushes.length <= most, `${pushes.length} pushes, the model makes ${most}`)
        for (const [index, at] of pushes.entries()) {
          const before = pushes[index - 1]
          if (before !== undefined) assert.ok(at - before >= SETTINGS.windowMs, `${before} and ${at}`)
        }
      }
    }),
    { numRuns: 300 },
  )
})

test('in any weather four processes leave no event uncovered', async () => {
  await fc.assert(
    fc.asyncProperty(
      schedules(3, 4),
      weathers,
      fc.infiniteStream(fc.nat(30)),
      async (events, weather, ms) => {
        const played = await playIn(weather, events, 4, () => ms.next().value ?? 0)
        for (const device of DEVICES) assertCovered(played, device, events)
        assert.equal(played.clock.timers, 0)
      },
    ),
    { numRuns: 300 },
  )
})

test('after an outage four processes push each device once', async () => {
  const played = world({ processes: 4, latencyMs: 20 })
  const { apple, clock, senders } = played
  apple.answer = () => ({ fault: 'connect ECONNREFUSED', of: 'connection' })
  for (let round = 0; round < 10; round += 1) {
    for (let device = 0; device < 50; device += 1) {
      senders[(device + round) % 4]?.add(targetOf(device), { kind: 'new', at: clock.now() })
    }
    await clock.advance(7_000)
  }
  apple.answer = () => OK
  await clock.advance(60_000)
  for (let device = 0; device < 50; device += 1) {
    assert.equal(apple.accepted(tokenOf(device)).length, 1, `device ${device}`)
  }
})

test('a process that dies after it has claimed costs one push at most: the next event is pushed again', async () => {
  const played = world({ processes: 2, latencyMs: 50 })
  const { apple, clock, senders } = played
  const [dying, living] = senders
  apple.answer = () => ({ fault: 'killed', of: 'connection' })
  dying?.add(targetOf(0), { kind: 'new', at: clock.now() })
  await clock.advance(60)
  dying?.close()
  apple.answer = () => OK
  await clock.advance(10_000)
  const at = clock.now()
  living?.add(targetOf(0), { kind: 'new', at })
  await clock.advance(10_000)
  assert.deepEqual(apple.accepted(tokenOf(0)), [at])
})

test('a change that waits longer than the store keeps claims is pushed all the same', async () => {
  const day = 86_400_000
  const played = world({ processes: 2, settings: { changeDelayMs: 3_600_000 }, claimsKeptMs: 60_000 })
  const { apple, clock, senders } = played
  const start = clock.now()
  senders[0]?.add(targetOf(0), { kind: 'change', at: start })
  await clock.advance(1_800_000)
  senders[1]?.add(targetOf(0), { kind: 'new', at: clock.now() })
  await clock.advance(day)
  assert.deepEqual(
    apple.accepted(tokenOf(0)).map(at => at - start),
    [1_800_000, 3_600_000],
  )
})

function of(device: number, events: readonly Seen[]): Seen[] {
  return events.filter(event => event.device === device)
}

function assertCovered({ apple }: World, device: number, events: readonly Seen[]): void {
  const last = of(device, events).at(-1)
  if (!last) return
  const pushes = apple.accepted(tokenOf(device))
  assert.ok(
    pushes.some(at => at >= last.at),
    `device ${device}: event at ${last.at}, pushes at ${pushes}`,
  )
}
