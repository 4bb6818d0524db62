/** The sender against the model of the rule: random schedules, one process and several, and a whole day. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import path from 'node:path'
import test from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { FakeClock } from '../support/fake-clock.ts'
import { assertWindows, of, pushTimes, schedules } from './model.ts'
import { SETTINGS } from './parts.ts'
import { bench, play, slowly } from './sender-bench.ts'

test('one process pushes exactly when the rule says, whatever the schedule', async () => {
  const rules = fc.record({
    windowMs: fc.constantFrom(1, 1_000, 5_000),
    changeDelayMs: fc.constantFrom(0, 500, 30_000),
    latencyMs: fc.constantFrom(0, 40, 700, 7_000),
  })
  await fc.assert(
    fc.asyncProperty(schedules(3, 1), rules, async (events, { latencyMs, ...rule }) => {
      const played = bench({ ...rule, latencyMs })
      await play(played, events)
      for (const device of [0, 1, 2]) {
        const expected = pushTimes(of(device, events), rule, latencyMs)
        assert.deepEqual(played.apple.accepted(device), expected)
      }
      assert.equal(played.sender.pending, 0)
      assert.equal(played.clock.timers, 0, 'no timer is left behind')
    }),
    { numRuns: 300 },
  )
})

test('four processes cover every event and keep the window between them', async () => {
  await fc.assert(
    fc.asyncProperty(schedules(2, 4), fc.infiniteStream(fc.nat(30)), async (events, delays) => {
      const claim = slowly(() => delays.next().value ?? 0)
      const played = bench({ processes: 4, latencyMs: 20, claim })
      await play(played, events)
      for (const device of [0, 1]) {
        const mine = of(device, events)
        const pushes = played.apple.accepted(device).sort((a, b) => a - b)
        const lastEvent = Math.max(...mine.map(({ at }) => at))
        if (mine.length > 0)
          assert.ok((pushes.at(-1) ?? 0) >= lastEvent, 'a push starts after the last event')
        assertWindows(pushes)
        const alone = pushTimes(mine, SETTINGS, 20).length
        assert.ok(pushes.length <= 2 * alone, `${pushes.length} pushes where one process makes ${alone}`)
      }
      assert.equal(played.clock.timers, 0)
    }),
    { numRuns: 200 },
  )
})

test('four processes with mails in a second make as many pushes as one', async () => {
  const start = new FakeClock().now()
  const events = Array.from({ length: 20 }, (_, index) => ({
    kind: 'new' as const,
    at: start + 1 + index * 50,
    device: 0,
    process: index % 4,
  }))
  const played = bench({ processes: 4, latencyMs: 20, claim: slowly(() => 3) })
  await play(played, events)
  assert.equal(played.apple.accepted().length, 2)
})

test('24 hours of events for 10,000 devices make as many pushes as the model', async () => {
  // In a thread of its own: the test runner follows every promise of its own thread, which costs more than the day.
  const day = new Worker(path.join(__dirname, 'day.js'))
  const [result] = await once(day, 'message')
  assert.deepEqual(result, { ...result, pushes: result.expected, pending: 0, timers: 0 })
  assert.ok(result.expected > 10_000, `${result.expected} pushes`)
})
