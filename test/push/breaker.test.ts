import assert from 'node:assert/strict'
import test from 'node:test'
import type { Verdict } from '../../plugins/xaps/apns/verdict.ts'
import {
  ALONE_IN_A_ROW,
  CircuitBreaker,
  LAST_PUSHES,
  SETUP_RETRY_MS,
} from '../../plugins/xaps/push/breaker.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { noLog } from '../support/recorded-log.ts'
import { OK } from './parts.ts'
import { BAD_CERTIFICATE, REFUSED, UNAVAILABLE } from './sender-bench.ts'

interface Bench {
  readonly clock: FakeClock
  readonly breaker: CircuitBreaker
  waiting: number
  /** How often pushes were told to try again. */
  resumed: number
  /** So many pushes that start and end now, one after the other. */
  settle(verdict: Verdict, count?: number): void
  /** Lets `ms` pass; until then the breaker must be open. */
  wait(ms: number): Promise<void>
}

function bench(): Bench {
  const clock = new FakeClock()
  const resume = () => {
    b.resumed += 1
  }
  const parts = { resume, changed: () => undefined, waiting: () => b.waiting, log: noLog, random: () => 1 }
  const b: Bench = {
    clock,
    waiting: 0,
    resumed: 0,
    breaker: new CircuitBreaker(parts, clock),
    settle(verdict, count = 1) {
      for (let left = count; left > 0; left -= 1) b.breaker.settle(verdict, clock.now())
    },
    async wait(ms) {
      await clock.advance(ms - 1)
      assert.equal(b.breaker.open, true)
      await clock.advance(1)
      assert.equal(b.breaker.open, false)
    },
  }
  return b
}

test('closed, it lets everything pass', () => {
  const { breaker, clock } = bench()
  for (let underWay = 0; underWay < 5_000; underWay += 1) assert.ok(breaker.pass(underWay))
  assert.equal(breaker.open, false)
  assert.equal(clock.timers, 0)
})

test('open, it lets nothing pass; half-open, one push; and after an answer all', async () => {
  const b = bench()
  b.settle(REFUSED)
  assert.equal(b.breaker.pass(0), false)
  await b.wait(500)
  assert.equal(b.resumed, 1)
  assert.equal(b.breaker.pass(0), true)
  assert.equal(b.breaker.pass(1), false)
  b.settle(OK)
  assert.equal(b.breaker.pass(100), true)
})

test('an answer to a push from before the trouble does not close it', () => {
  const b = bench()
  b.settle(REFUSED)
  b.settle(OK)
  assert.equal(b.breaker.open, true)
})

test('a failure of a push from before it opened counts no second time', async () => {
  const b = bench()
  const early = b.clock.now()
  await b.clock.advance(10)
  b.breaker.settle(REFUSED, early)
  await b.clock.advance(500)
  b.breaker.settle(REFUSED, early)
  assert.equal(b.breaker.open, false)
})

test('a setup fault opens it for a minute, and one push may try at once when that is mended', async () => {
  const b = bench()
  b.settle(BAD_CERTIFICATE)
  await b.clock.advance(SETUP_RETRY_MS - 1)
  assert.equal(b.breaker.open, true)
  b.breaker.tryNow()
  assert.equal(b.breaker.open, false)
  assert.equal(b.resumed, 1)
  assert.equal(b.clock.timers, 0)
})

test('failures that are each a push of its own open it when there are many in a row', () => {
  const b = bench()
  for (let round = 0; round < 5; round += 1) {
    b.settle(UNAVAILABLE, ALONE_IN_A_ROW - 1)
    b.settle(OK, 2 * ALONE_IN_A_ROW)
  }
  assert.equal(b.breaker.open, false)
  b.settle(UNAVAILABLE, ALONE_IN_A_ROW)
  assert.equal(b.breaker.open, true)
})

test('and when more than half of the last pushes failed, however they are mixed', () => {
  const b = bench()
  for (let count = 0; count < LAST_PUSHES; count += 1) b.settle(count % 2 === 0 ? UNAVAILABLE : OK)
  assert.equal(b.breaker.open, false, 'half of them')
  b.settle(UNAVAILABLE)
  assert.equal(b.breaker.open, false, 'half of them: the oldest was a failure')
  b.settle(UNAVAILABLE)
  assert.equal(b.breaker.open, true)
})

test('half-open, a push that fails by itself opens it again, for longer; its own wait is not for all', async () => {
  const b = bench()
  b.settle(REFUSED)
  await b.wait(500)
  b.settle({ ...UNAVAILABLE, afterMs: 60_000 })
  await b.wait(1_000)
})

test('closed again, it judges by what came since', async () => {
  const b = bench()
  b.settle(UNAVAILABLE, ALONE_IN_A_ROW)
  await b.wait(500)
  b.settle(OK)
  b.settle(UNAVAILABLE, ALONE_IN_A_ROW - 1)
  assert.equal(b.breaker.open, false)
})

test('an Apple that comes and goes is not tried faster and faster', async () => {
  const b = bench()
  b.waiting = 1_000
  for (const ms of [500, 1_000, 2_000, 4_000]) {
    b.settle(REFUSED)
    await b.wait(ms)
    b.settle(OK)
    await b.clock.advance(5)
  }
})

test('after its end it keeps no timer', async () => {
  const b = bench()
  b.waiting = 5_000
  b.settle(REFUSED)
  await b.clock.advance(500)
  b.settle(OK, 301)
  for (let underWay = 0; underWay < 300; underWay += 1) b.breaker.pass(underWay)
  assert.equal(b.clock.timers, 1, 'the pace of the recovery')
  b.settle(REFUSED)
  b.breaker.close()
  assert.equal(b.clock.timers, 0)
})
