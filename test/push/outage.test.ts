/** Apple away, overloaded or unwilling: everybody waits, and each device is pushed once when it is over. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { settle } from '../support/fake-clock.ts'
import { OK } from './parts.ts'
import { BAD_CERTIFICATE, bench, REFUSED, said, slowly, times } from './sender-bench.ts'

test('a million events for 1,000 devices during an outage keep 1,000 entries, and each is pushed once after it', async () => {
  const b = bench()
  b.apple.answer = () => REFUSED
  for (let round = 0; round < 1_000; round += 1) {
    for (let device = 0; device < 1_000; device += 1) b.happen(device)
    await b.clock.advance(100)
  }
  assert.equal(b.sender.pending, 1_000)
  assert.ok(b.clock.timers <= 2, `${b.clock.timers} timers`)
  const last = b.clock.now()
  b.apple.answer = () => OK
  await b.clock.advance(30_000)
  const accepted = b.apple.accepted()
  assert.equal(accepted.length, 1_000)
  assert.ok(accepted.every(at => at >= last - 100))
  assert.equal(b.sender.pending, 0)
  await b.clock.advance(60_000)
  assert.equal(b.clock.timers, 0)
})

test('an outage makes one line when it begins and one when it ends, however many pushes meet it', async () => {
  const b = bench()
  b.apple.latencyMs = 5
  b.apple.answer = () => REFUSED
  for (let device = 0; device < 500; device += 1) b.happen(device)
  await b.clock.advance(120_000)
  assert.deepEqual(b.log.loud(), [
    'warn: Apple cannot be reached; pushes wait and are tried again cause="connect ECONNREFUSED"',
  ])
  b.apple.answer = () => OK
  await b.clock.advance(30_000)
  assert.equal(b.log.loud().length, 2)
  assert.match(
    b.log.loud()[1] ?? '',
    /^notice: Apple accepts pushes again after_seconds=1[23]\d waiting=499$/,
  )
})

test('the tries of an outage are one at a time, from half a second doubling to 15 seconds', async () => {
  const b = bench()
  const start = b.clock.now()
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(62_000)
  assert.deepEqual(times(b, 1, start), [0, 500, 1_500, 3_500, 7_500, 15_500, 30_500, 45_500, 60_500])
})

test('pushes that were being prepared when an outage began are held back, and count as one failure', async () => {
  const b = bench({ claim: slowly(() => 10) })
  b.apple.latencyMs = 5
  b.apple.answer = () => REFUSED
  for (let device = 0; device < 100; device += 1) {
    b.happen(device)
    await b.clock.advance(1)
  }
  await b.clock.advance(400)
  const sent = b.apple.arrivals.length
  assert.ok(sent < 10, `${sent} were sent before the first failure was known`)
  await b.clock.advance(120)
  assert.equal(b.apple.arrivals.length, sent + 1, 'one probe after half a second, not after 15')
})

test('a breaker that opened with nothing left to push lets the next event try', async () => {
  const b = bench({ keepForMs: 1_000 })
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(60_000)
  assert.equal(b.sender.pending, 0, 'dropped by keep_for')
  b.apple.answer = () => OK
  b.happen(2)
  await settle()
  assert.equal(b.apple.accepted(2).length, 1)
})

test('after an outage those that waited follow in growing numbers, at most 1,000 a second', async () => {
  const b = bench()
  b.apple.latencyMs = 50
  b.apple.answer = () => REFUSED
  for (let device = 0; device < 5_000; device += 1) b.happen(device)
  await b.clock.advance(60_000)
  b.apple.answer = () => OK
  await b.clock.advance(30_000)
  const accepted = b.apple.accepted()
  assert.equal(accepted.length, 5_000)
  const [first = 0] = accepted
  const startedBy = (ms: number): number => accepted.filter(at => at <= first + ms).length
  assert.deepEqual([0, 50, 100, 150, 200].map(startedBy), [1, 3, 7, 15, 31])
  assert.ok(startedBy(3_000) <= 3_000, `${startedBy(3_000)} in 3 seconds`)
  assert.equal(startedBy(6_000), 5_000)
})

test('when those that waited have been pushed, others are no longer held to that pace', async () => {
  const b = bench()
  b.apple.answer = () => REFUSED
  for (let device = 0; device < 1_200; device += 1) b.happen(device)
  await b.clock.advance(1_000)
  b.apple.answer = () => OK
  // New events keep coming all the time, so that the queue is never empty for long.
  for (let tenth = 0; tenth < 100; tenth += 1) {
    for (let device = 0; device < 150; device += 1) b.happen(10_000 + tenth * 150 + device)
    await b.clock.advance(100)
  }
  assert.ok(b.sender.pending < 50, `${b.sender.pending} pending`)
})

test('TooManyProviderTokenUpdates: nobody is pushed for 20 minutes', async () => {
  const b = bench()
  b.apple.answer = () => said(429, 'TooManyProviderTokenUpdates')
  b.happen(1)
  await b.clock.advance(20 * 60_000 - 1)
  assert.equal(b.apple.arrivals.length, 1)
  await b.clock.advance(1)
  assert.equal(b.apple.arrivals.length, 2)
})

test('refused credentials: one error, a try a minute, nothing deleted, and all is pushed once they are mended', async () => {
  const b = bench()
  b.apple.answer = () => BAD_CERTIFICATE
  for (let device = 0; device < 20; device += 1) b.happen(device)
  await b.clock.advance(600_000)
  assert.equal(b.apple.arrivals.filter(({ at }) => at > b.clock.now() - 300_000).length, 5)
  assert.equal(b.log.loud().length, 1)
  assert.match(b.log.loud()[0] ?? '', /^error: Apple refuses our pushes; .*cause=BadCertificate$/)
  b.apple.answer = () => OK
  b.sender.retryNow()
  await b.clock.advance(1_000)
  assert.equal(b.apple.accepted().length, 20, 'without waiting for the minute to end')
})

test('a change from one trouble to another is said', async () => {
  const b = bench()
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(5_000)
  b.apple.answer = () => BAD_CERTIFICATE
  await b.clock.advance(200_000)
  b.apple.answer = () => OK
  await b.clock.advance(60_000)
  assert.deepEqual(
    b.log.loud().map(line => line.split(':')[0]),
    ['warn', 'error', 'notice'],
  )
})

test('what cannot be sent for longer than keep_for is dropped, but not a device with a newer event', async () => {
  const b = bench({ keepForMs: 3_600_000 })
  b.apple.answer = () => REFUSED
  b.happen(1)
  b.happen(2)
  await b.clock.advance(3_000_000)
  b.happen(2)
  await b.clock.advance(3_000_000)
  b.apple.answer = () => OK
  await b.clock.advance(60_000)
  assert.equal(b.apple.accepted(1).length, 0)
  assert.equal(b.apple.accepted(2).length, 1)
  assert.equal(b.sender.pending, 0)
})
