/** The end of a process, and the bound on pushes under way. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { settle } from '../support/fake-clock.ts'
import { OK } from './parts.ts'
import { bench, REFUSED, slowly, TOO_MANY, times } from './sender-bench.ts'

test('hurry pushes what waits for a window or a delay, and drain resolves when that is done', async () => {
  const b = bench({ latencyMs: 30 })
  b.happen(1)
  b.happen(2, 'change')
  await b.clock.advance(1_000)
  b.happen(1)
  b.sender.hurry()
  const start = b.clock.now()
  const drainedAt = b.sender.drain().then(() => b.clock.now() - start)
  await b.clock.advance(10)
  b.happen(3)
  await b.clock.advance(40)
  assert.deepEqual(
    [2, 3].map(device => times(b, device, start)),
    [[0], [10]],
  )
  assert.equal(b.apple.accepted(1).length, 2)
  assert.equal(await drainedAt, 40)
})

test('drain resolves at once when nothing is pending, and waits for what is being settled', async () => {
  const b = bench({ settleMs: 500 })
  await b.sender.drain()
  b.happen(1)
  await settle()
  assert.equal(b.sender.pending, 0)
  const start = b.clock.now()
  const drainedAt = b.sender.drain().then(() => b.clock.now() - start)
  await b.clock.advance(500)
  assert.equal(await drainedAt, 500)
})

test('hurry tries once more while Apple is away', async () => {
  const b = bench()
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(40_000)
  const tries = b.apple.arrivals.length
  b.sender.hurry()
  await settle()
  assert.equal(b.apple.arrivals.length, tries + 1)
  await b.clock.advance(3_000)
  assert.equal(b.sender.pending, 1)
})

test('hurry does not hammer on a device that Apple asked to leave alone', async () => {
  const b = bench()
  b.apple.answer = () => TOO_MANY
  b.happen(1)
  await settle()
  b.sender.hurry()
  await b.clock.advance(3_000)
  assert.equal(b.apple.arrivals.length, 1)
})

test('a closed sender takes no events, starts no pushes and keeps no timers', async () => {
  const b = bench()
  b.happen(1)
  b.happen(2, 'change')
  await b.clock.advance(100)
  b.happen(1)
  b.sender.close()
  b.happen(3)
  await b.clock.advance(60_000)
  assert.equal(b.apple.arrivals.length, 1)
  assert.equal(b.clock.timers, 0)
  assert.equal(b.sender.pending, 0)
})

test('no more than max_in_flight pushes are under way', async () => {
  const b = bench({ maxInFlight: 7 })
  b.apple.latencyMs = 20
  for (let device = 0; device < 100; device += 1) b.happen(device)
  await b.clock.advance(1_000)
  assert.equal(b.apple.mostInFlight, 7)
  assert.equal(b.apple.accepted().length, 100)
})

test('a device whose claim is granted when Apple has just become unreachable is pushed once, after it', async () => {
  const b = bench({ claim: slowly(() => 50) })
  b.apple.latencyMs = 20
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(30)
  b.happen(2)
  await b.clock.advance(100)
  assert.equal(b.apple.arrivals.length, 1)
  b.apple.answer = () => OK
  await b.clock.advance(60_000)
  for (const device of [1, 2]) assert.equal(b.apple.accepted(device).length, 1)
})

test('a push whose claim or answer comes after the close sets no timer and alarms nobody', async () => {
  for (const [ms, pushes] of [
    [5, 0],
    [20, 1],
  ] as const) {
    for (const answer of [OK, TOO_MANY, REFUSED]) {
      const b = bench({ claim: slowly(() => 10), latencyMs: 50 })
      b.apple.answer = () => answer
      b.happen(1)
      await b.clock.advance(ms)
      b.sender.close()
      await b.clock.advance(1_000)
      assert.equal(b.apple.arrivals.length, pushes)
      assert.equal(b.clock.timers, 0)
      assert.ok(
        b.log.lines.every(({ level }) => level === 'info' || level === 'debug'),
        b.log.loud().join(),
      )
    }
  }
})
