import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../plugins/xaps/base/clock.ts'
import { startHeartbeat } from '../../plugins/xaps/process/heartbeat.ts'
import { FakeClock } from '../support/fake-clock.ts'

function counting(clock: Clock) {
  const seen = { asked: 0, silent: 0 }
  const heartbeat = startHeartbeat(
    () => {
      seen.asked += 1
    },
    () => {
      seen.silent += 1
    },
    clock,
  )
  return { seen, heartbeat }
}

test('four questions without an answer are silence, which one answer ends', async () => {
  const clock = new FakeClock()
  const { seen, heartbeat } = counting(clock)
  await clock.advance(8_000)
  assert.deepEqual(seen, { asked: 4, silent: 0 })
  await clock.advance(2_000)
  assert.deepEqual(seen, { asked: 4, silent: 1 })
  heartbeat.answered()
  await clock.advance(8_000)
  assert.deepEqual(seen, { asked: 8, silent: 1 })
  heartbeat.stop()
  assert.equal(clock.timers, 0)
})

test('whoever was held up itself blames nobody', () => {
  let time = 0
  let due: () => void = () => undefined
  const lateClock: Clock = {
    now: () => time,
    after(_, run) {
      due = run
      return { cancel: () => undefined }
    },
  }
  const { seen } = counting(lateClock)
  for (let beat = 0; beat < 3; beat += 1) {
    time += 3_600_000
    due()
  }
  assert.deepEqual(seen, { asked: 3, silent: 0 })
})
