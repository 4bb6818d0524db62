import assert from 'node:assert/strict'
import test from 'node:test'
import { ALONE_IN_A_ROW, Gate, SETUP_RETRY_MS, type Trouble } from '../../plugins/xaps/push/gate.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'

const CONNECTION: Trouble = { kind: 'connection', cause: 'ECONNREFUSED' }
const SETUP: Trouble = { kind: 'setup', cause: 'BadCertificate' }

interface Bench {
  readonly clock: FakeClock
  readonly log: RecordedLog
  readonly gate: Gate
  waiting: number
  /** How often pushes were told to try again. */
  opened: number
}

function bench(): Bench {
  const clock = new FakeClock()
  const log = recordedLog()
  const b: Bench = {
    clock,
    log,
    waiting: 0,
    opened: 0,
    gate: new Gate(
      {
        opened: () => {
          b.opened += 1
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

test('an open gate lets everything pass', () => {
  const { gate, clock } = bench()
  for (let underWay = 0; underWay < 5_000; underWay += 1) assert.ok(gate.pass(underWay))
  assert.equal(gate.closed, false)
  assert.equal(clock.timers, 0)
})

test('a closed gate lets nothing pass, then one push, and all after an answer', async () => {
  const b = bench()
  b.gate.failed(CONNECTION, b.clock.now())
  assert.equal(b.gate.pass(0), false)
  await b.clock.advance(499)
  assert.equal(b.opened, 0)
  await b.clock.advance(1)
  assert.equal(b.opened, 1)
  assert.equal(b.gate.pass(0), true)
  assert.equal(b.gate.pass(1), false)
  b.gate.answered()
  assert.equal(b.gate.pass(100), true)
})

test('an answer to a push from before the trouble does not open the gate', () => {
  const { gate, clock } = bench()
  gate.failed(CONNECTION, clock.now())
  gate.answered()
  assert.equal(gate.closed, true)
})

test('a failure of a push from before the gate closed counts no second time', async () => {
  const { gate, clock } = bench()
  const early = clock.now()
  await clock.advance(10)
  gate.failed(CONNECTION, early)
  await clock.advance(500)
  gate.failed(CONNECTION, early)
  assert.equal(gate.closed, false)
})

test('a setup fault closes for a minute, and reset opens at once', async () => {
  const b = bench()
  b.gate.failed(SETUP, b.clock.now())
  await b.clock.advance(SETUP_RETRY_MS - 1)
  assert.equal(b.gate.closed, true)
  b.gate.reset()
  assert.equal(b.gate.closed, false)
  assert.equal(b.opened, 1)
  assert.equal(b.clock.timers, 0)
})

test('failures that are each a push of its own close the gate only in a row', () => {
  const { gate, clock } = bench()
  for (let round = 0; round < 5; round += 1) {
    for (let count = 1; count < ALONE_IN_A_ROW; count += 1) gate.failedAlone(CONNECTION, clock.now())
    gate.answered()
  }
  assert.equal(gate.closed, false)
  for (let count = 0; count < ALONE_IN_A_ROW; count += 1) gate.failedAlone(CONNECTION, clock.now())
  assert.equal(gate.closed, true)
})

test('an Apple that comes and goes is not tried faster and faster', async () => {
  const b = bench()
  b.waiting = 1_000
  for (const wait of [500, 1_000, 2_000, 4_000]) {
    b.gate.failed(CONNECTION, b.clock.now())
    await b.clock.advance(wait - 1)
    assert.equal(b.gate.closed, true)
    await b.clock.advance(1)
    b.gate.answered()
    await b.clock.advance(5)
  }
})

test('a closed-down gate keeps no timer', async () => {
  const b = bench()
  b.waiting = 5_000
  b.gate.failed(CONNECTION, b.clock.now())
  await b.clock.advance(500)
  b.gate.answered()
  for (let count = 0; count < 300; count += 1) b.gate.answered()
  for (let underWay = 0; underWay < 300; underWay += 1) b.gate.pass(underWay)
  assert.equal(b.clock.timers, 1, 'the pace of the recovery')
  b.gate.failed(CONNECTION, b.clock.now())
  b.gate.close()
  assert.equal(b.clock.timers, 0)
})
