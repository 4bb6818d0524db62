import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PERIOD_MS, TransitionLog } from '../../plugins/xaps/base/transition-log.ts'
import { FakeClock } from '../support/fake-clock.ts'

function bench() {
  const clock = new FakeClock()
  const log = new TransitionLog('up', clock)
  const lines: string[] = []
  const to = (state: string) =>
    log.to(state, counted => lines.push([state, ...Object.values(counted)].join(' ')))
  const flap = async (times: number, everyMs: number) => {
    for (let change = 0; change < times; change += 1) {
      to(change % 2 === 0 ? 'away' : 'up')
      await clock.advance(everyMs)
    }
  }
  return { clock, log, lines, to, flap }
}

test('an outage is said once when it begins and once when it ends, and costs no timer', async () => {
  const { clock, lines, to } = bench()
  for (let outage = 0; outage < 3; outage += 1) {
    for (const state of ['up', 'away', 'away']) to(state)
    await clock.advance(1_000)
    to('up')
    await clock.advance(PERIOD_MS)
  }
  assert.deepEqual(lines, ['away', 'up', 'away', 'up', 'away', 'up'])
  assert.equal(clock.timers, 0)
})

test('flapping is one line per period with a count, for as long as it lasts', async () => {
  const { clock, lines, flap } = bench()
  await flap(1_200, 1_000)
  await clock.advance(PERIOD_MS)
  assert.deepEqual(lines, ['away', 'up', 'up 298 5', 'up 300 5', 'up 300 5', 'up 300 5'])
  await clock.advance(PERIOD_MS)
  await flap(2, 1_000)
  assert.deepEqual(lines.slice(6), ['away', 'up'], 'after a quiet period it is news again')
})

test('no state is left unsaid for longer than a period', async () => {
  const { clock, lines, flap } = bench()
  await flap(3, 1_000)
  assert.deepEqual(lines, ['away', 'up'])
  await clock.advance(PERIOD_MS - 3_000)
  assert.deepEqual(lines, ['away', 'up', 'away 1 5'])
  assert.equal(clock.timers, 0)
})

test('a state that is met for the first time is said at once, in the midst of flapping', async () => {
  const { lines, flap, to } = bench()
  await flap(20, 1_000)
  to('burning')
  assert.deepEqual(lines, ['away', 'up', 'burning'])
})

test('a clock that is set back holds up no line', async () => {
  const { clock, lines, to } = bench()
  to('away')
  await clock.advance(-3_600_000)
  to('up')
  to('away')
  assert.deepEqual(lines, ['away', 'up', 'away'])
})

test('closed, it writes nothing and keeps no timer', async () => {
  const { clock, log, lines, flap, to } = bench()
  await flap(4, 1_000)
  log.close()
  to('burning')
  await clock.advance(PERIOD_MS)
  assert.deepEqual(lines, ['away', 'up'])
  assert.equal(clock.timers, 0)
})
