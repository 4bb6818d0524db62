/** When a push is sent, and when not. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { deviceOf, targetOf } from './parts.ts'
import { bench, said, slowly, times } from './sender-bench.ts'

test('a new mail is pushed at once, and what follows within the window by one push at its end', async () => {
  const b = bench()
  const start = b.clock.now()
  b.happen(1)
  for (let second = 0; second < 4; second += 1) {
    await b.clock.advance(1_000)
    b.happen(1)
  }
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [0, 5_000])
})

test('a change waits for change_delay, unless another push covers it meanwhile', async () => {
  const b = bench()
  const start = b.clock.now()
  b.happen(1, 'change')
  b.happen(2, 'change')
  await b.clock.advance(20_000)
  b.happen(2)
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [30_000])
  assert.deepEqual(times(b, 2, start), [20_000])
})

test('steady traffic is pushed once per window', async () => {
  const b = bench()
  const start = b.clock.now()
  for (let tenth = 0; tenth < 300; tenth += 1) {
    b.happen(1)
    await b.clock.advance(100)
  }
  await b.clock.advance(10_000)
  assert.deepEqual(times(b, 1, start), [0, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000])
})

test('an event that comes in while a push is under way is covered by the next one', async () => {
  const b = bench()
  const start = b.clock.now()
  b.apple.latencyMs = 1_000
  b.happen(1)
  await b.clock.advance(500)
  b.happen(1)
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [0, 5_000])
})

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

test('an event that is looked up while the push that covers it is under way makes no other', async () => {
  const b = bench({ latencyMs: 1_000 })
  const early = b.clock.now() - 10
  b.happen(1)
  await b.clock.advance(500)
  b.sender.add(targetOf(1), { kind: 'new', at: early })
  await b.clock.advance(500)
  assert.equal(b.sender.pending, 0, 'nothing is left to be pushed')
})

test('what another process has covered is not pushed again; what came in meanwhile keeps its own time', async () => {
  const answers = [{ kind: 'covered' as const }, { kind: 'granted' as const, id: 1 }]
  const start = new FakeClock().now()
  const b = bench({ claim: () => async () => answers.shift() ?? { kind: 'covered' } })
  b.happen(1)
  await settle()
  b.sender.add(targetOf(1), { kind: 'change', at: start + 1 })
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [30_001])
})

test('a push that has to wait for the window of another process is sent at its end', async () => {
  const start = new FakeClock().now()
  const answers = [{ kind: 'wait' as const, ms: 3_000 }]
  const b = bench({ claim: () => async () => answers.shift() ?? { kind: 'granted', id: 1 } })
  b.happen(1)
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [3_000])
})

test('an event that was looked up late and is covered already makes no push', async () => {
  const b = bench()
  const early = b.clock.now() - 10
  b.happen(1)
  await b.clock.advance(100)
  b.sender.add(targetOf(1), { kind: 'new', at: early })
  await b.clock.advance(60_000)
  assert.equal(b.apple.arrivals.length, 1)
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
