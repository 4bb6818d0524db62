import assert from 'node:assert/strict'
import test from 'node:test'
import {
  ALONE_IN_A_ROW,
  CircuitBreaker,
  LAST_PUSHES,
  SETUP_RETRY_MS,
  type Trouble,
} from '../../plugins/xaps/push/breaker.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'

const CONNECTION: Trouble = { kind: 'connection', cause: 'ECONNREFUSED' }
const BUSY: Trouble = { kind: 'busy', cause: 'ServiceUnavailable' }
const SETUP: Trouble = { kind: 'setup', cause: 'BadCertificate' }

interface Bench {
  readonly clock: FakeClock
  readonly log: RecordedLog
  readonly breaker: CircuitBreaker
  waiting: number
  /** How often pushes were told to try again. */
  resumed: number
}

function bench(): Bench {
  const clock = new FakeClock()
  const log = recordedLog()
  const b: Bench = {
    clock,
    log,
    waiting: 0,
    resumed: 0,
    breaker: new CircuitBreaker(
      {
        resume: () => {
          b.resumed += 1
        },
        waiting: () => b.waiting,
        log,
        random: () => 1,
      },
      clock,
    ),
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
  b.breaker.failed(CONNECTION, b.clock.now())
  assert.equal(b.breaker.pass(0), false)
  await b.clock.advance(499)
  assert.equal(b.resumed, 0)
  await b.clock.advance(1)
  assert.equal(b.resumed, 1)
  assert.equal(b.breaker.pass(0), true)
  assert.equal(b.breaker.pass(1), false)
  b.breaker.answered()
  assert.equal(b.breaker.pass(100), true)
})

test('an answer to a push from before the trouble does not close it', () => {
  const { breaker, clock } = bench()
  breaker.failed(CONNECTION, clock.now())
  breaker.answered()
  assert.equal(breaker.open, true)
})

test('a failure of a push from before it opened counts no second time', async () => {
  const { breaker, clock } = bench()
  const early = clock.now()
  await clock.advance(10)
  breaker.failed(CONNECTION, early)
  await clock.advance(500)
  breaker.failed(CONNECTION, early)
  assert.equal(breaker.open, false)
})

test('a setup fault opens it for a minute, and one push may try at once when that is mended', async () => {
  const b = bench()
  b.breaker.failed(SETUP, b.clock.now())
  await b.clock.advance(SETUP_RETRY_MS - 1)
  assert.equal(b.breaker.open, true)
  b.breaker.tryNow()
  assert.equal(b.breaker.open, false)
  assert.equal(b.resumed, 1)
  assert.equal(b.clock.timers, 0)
})

test('failures that are each a push of its own open it when there are many in a row', () => {
  const { breaker, clock } = bench()
  for (let round = 0; round < 5; round += 1) {
    for (let count = 1; count < ALONE_IN_A_ROW; count += 1) breaker.failedAlone(CONNECTION, clock.now())
    for (let count = 0; count < 2 * ALONE_IN_A_ROW; count += 1) breaker.answered()
  }
  assert.equal(breaker.open, false)
  for (let count = 0; count < ALONE_IN_A_ROW; count += 1) breaker.failedAlone(CONNECTION, clock.now())
  assert.equal(breaker.open, true)
})

test('and when more than half of the last pushes failed, however they are mixed', () => {
  const { breaker, clock } = bench()
  for (let count = 0; count < LAST_PUSHES; count += 1) {
    if (count % 2 === 0) breaker.failedAlone(BUSY, clock.now())
    else breaker.answered()
  }
  assert.equal(breaker.open, false, 'half of them')
  breaker.failedAlone(BUSY, clock.now())
  assert.equal(breaker.open, false, 'half of them: the oldest was a failure')
  breaker.failedAlone(BUSY, clock.now())
  assert.equal(breaker.open, true)
})

test('half-open, a push that fails by itself opens it again, for longer', async () => {
  const b = bench()
  b.breaker.failed(CONNECTION, b.clock.now())
  await b.clock.advance(500)
  b.breaker.failedAlone(BUSY, b.clock.now())
  assert.equal(b.breaker.open, true)
  await b.clock.advance(999)
  assert.equal(b.breaker.open, true)
  await b.clock.advance(1)
  assert.equal(b.breaker.open, false)
})

test('closed again, it judges by what came since', async () => {
  const { breaker, clock } = bench()
  for (let count = 0; count < ALONE_IN_A_ROW; count += 1) breaker.failedAlone(BUSY, clock.now())
  await clock.advance(500)
  breaker.answered()
  for (let count = 1; count < ALONE_IN_A_ROW; count += 1) breaker.failedAlone(BUSY, clock.now())
  assert.equal(breaker.open, false)
})

test('an Apple that comes and goes is not tried faster and faster', async () => {
  const b = bench()
  b.waiting = 1_000
  for (const wait of [500, 1_000, 2_000, 4_000]) {
    b.breaker.failed(CONNECTION, b.clock.now())
    await b.clock.advance(wait - 1)
    assert.equal(b.breaker.open, true)
    await b.clock.advance(1)
    b.breaker.answered()
    await b.clock.advance(5)
  }
})

test('after its end it keeps no timer', async () => {
  const b = bench()
  b.waiting = 5_000
  b.breaker.failed(CONNECTION, b.clock.now())
  await b.clock.advance(500)
  b.breaker.answered()
  for (let count = 0; count < 300; count += 1) b.breaker.answered()
  for (let underWay = 0; underWay < 300; underWay += 1) b.breaker.pass(underWay)
  assert.equal(b.clock.timers, 1, 'the pace of the recovery')
  b.breaker.failed(CONNECTION, b.clock.now())
  b.breaker.close()
  assert.equal(b.clock.timers, 0)
})
