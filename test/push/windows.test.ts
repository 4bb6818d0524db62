import assert from 'node:assert/strict'
import test from 'node:test'
import { Windows } from '../../plugins/xaps/push/windows.ts'
import { FakeClock } from '../support/fake-clock.ts'

const NEVER = Number.NEGATIVE_INFINITY

test('a window is known until it is over', async () => {
  const clock = new FakeClock()
  const windows = new Windows(5_000, clock)
  const start = clock.now()
  windows.begin('a', start)
  await clock.advance(4_999)
  assert.equal(windows.startOf('a'), start)
  await clock.advance(1)
  assert.equal(windows.startOf('a'), NEVER)
  assert.equal(clock.timers, 0)
})

test('one timer serves all windows, and each ends at its time', async () => {
  const clock = new FakeClock()
  const windows = new Windows(5_000, clock)
  for (let second = 0; second < 4; second += 1) {
    windows.begin(`${second}`, clock.now())
    await clock.advance(1_000)
  }
  assert.equal(clock.timers, 1)
  await clock.advance(2_500)
  assert.deepEqual(
    ['0', '1', '2', '3'].map(key => windows.startOf(key) !== NEVER),
    [false, false, true, true],
  )
  await clock.advance(5_000)
  assert.equal(windows.startOf('3'), NEVER)
})

test('a window that was ended is forgotten, and may begin again', async () => {
  const clock = new FakeClock()
  const windows = new Windows(5_000, clock)
  const start = clock.now()
  windows.begin('a', start)
  await clock.advance(3_000)
  assert.equal(windows.startOf('a'), start)
  windows.end('a')
  assert.equal(windows.startOf('a'), NEVER)
  windows.begin('a', clock.now())
  await clock.advance(4_000)
  assert.equal(windows.startOf('a'), start + 3_000)
  windows.close()
  assert.equal(clock.timers, 0)
})

test('a window that is over already is not kept', () => {
  const clock = new FakeClock()
  const windows = new Windows(0, clock)
  windows.begin('a', clock.now())
  assert.equal(windows.startOf('a'), NEVER)
  assert.equal(clock.timers, 0)
})

test('a window that began in the future, by a clock set back since, holds up nobody', async () => {
  const clock = new FakeClock()
  const windows = new Windows(5_000, clock)
  windows.begin('a', clock.now())
  await clock.advance(-3_600_000)
  assert.equal(windows.startOf('a'), NEVER)
  windows.begin('a', clock.now())
  assert.equal(windows.startOf('a'), clock.now())
})
