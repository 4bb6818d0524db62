/** What Apple says of one device, or what befalls one push, is that one's own matter. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { settle } from '../support/fake-clock.ts'
import { OK, tokenOf } from './parts.ts'
import { bench, SERVER_ERROR, STREAM_RESET, TOO_MANY, times, UNAVAILABLE } from './sender-bench.ts'

test('one push whose stream is reset is sent again by itself; others do not notice', async () => {
  const b = bench()
  const start = b.clock.now()
  b.apple.answer = ({ token }) => (token === tokenOf(1) ? STREAM_RESET : OK)
  b.happen(1)
  await settle()
  b.happen(2)
  await settle()
  assert.equal(b.apple.accepted(2).length, 1)
  b.apple.answer = () => OK
  await b.clock.advance(10_000)
  assert.deepEqual(times(b, 1, start), [0, 500])
  assert.deepEqual(b.log.loud(), [])
})

test('503 is that push\u2019s own, and so is the time that Apple asks it to wait', async () => {
  const b = bench()
  const start = b.clock.now()
  const slowly = { ...UNAVAILABLE, afterMs: 40_000 }
  b.apple.answer = ({ token }) => (token === tokenOf(1) ? slowly : OK)
  b.happen(1)
  await settle()
  b.happen(2)
  await settle()
  assert.deepEqual(times(b, 2, start), [0])
  b.apple.answer = () => OK
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [0, 40_000])
  assert.deepEqual(b.log.loud(), [])
})

for (const answer of [STREAM_RESET, SERVER_ERROR, UNAVAILABLE]) {
  test(`many pushes in a row that all fail alone are an outage: ${JSON.stringify(answer)}`, async () => {
    const b = bench()
    b.apple.answer = () => answer
    for (let device = 0; device < 100; device += 1) b.happen(device)
    await b.clock.advance(60_000)
    assert.equal(b.log.loud().length, 1)
    assert.ok(b.apple.arrivals.length < 200, `${b.apple.arrivals.length} tries in a minute`)
    b.apple.answer = () => OK
    await b.clock.advance(60_000)
    assert.equal(b.apple.accepted().length, 100)
    assert.equal(b.log.loud().length, 2)
  })
}

test('429 TooManyRequests: that device alone waits, each time longer, and is then pushed once', async () => {
  const b = bench()
  const start = b.clock.now()
  let left = 2
  b.apple.answer = ({ token }) => (token === tokenOf(1) && left-- > 0 ? TOO_MANY : OK)
  b.happen(1)
  b.happen(2)
  await b.clock.advance(3_000)
  b.happen(1)
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [0, 15_000, 30_000])
  assert.deepEqual(times(b, 2, start), [0])
  assert.deepEqual(b.log.loud(), [])
})

test('a fault inside the plugin ends that push, says so, and loses no later event', async () => {
  const b = bench()
  b.apple.answer = ({ token }) => {
    if (token !== tokenOf(1)) return OK
    throw new Error('a bug')
  }
  b.apple.latencyMs = 10
  b.happen(1)
  await b.clock.advance(5)
  b.happen(1)
  b.happen(2)
  await b.clock.advance(1_000)
  assert.equal(b.apple.accepted(2).length, 1)
  assert.match(
    b.log.loud()[0] ?? '',
    /^error: a push failed inside the plugin; please report this cause="a bug"$/,
  )
  b.apple.answer = () => OK
  await b.clock.advance(10_000)
  assert.equal(b.apple.accepted(1).length, 1, 'the event during the failed push')
})
