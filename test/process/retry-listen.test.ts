import assert from 'node:assert/strict'
import { test } from 'node:test'
import { retryListen } from '../../plugins/xaps/process/retry-listen.ts'
import { heldClock, keptLog } from '../registration/tools.ts'
import { turns } from '../support/fake-clock.ts'

function setup(failures: number, retry: boolean) {
  const clock = heldClock()
  const log = keptLog()
  const start = clock.now()
  const attempts: number[] = []
  const open = async () => {
    attempts.push(clock.now() - start)
    if (attempts.length <= failures) throw new Error('in use')
  }
  return { clock, log, attempts, opening: retryListen(open, { retry, log }, clock) }
}

test('without retry the first failure is the last', async () => {
  const { clock, opening } = setup(1, false)
  await assert.rejects(opening.tried, /in use/)
  assert.equal(clock.next, undefined)
})

test('with retry it tries after 0.5 s, then twice as long each time, at most 15 s, and logs twice', async () => {
  const { clock, log, attempts, opening } = setup(7, true)
  await opening.tried
  await clock.advance(120_000)
  assert.deepEqual(attempts, [0, 500, 1500, 3500, 7500, 15_500, 30_500, 45_500])
  assert.deepEqual(log.messages(), ['error cannot listen, trying again', 'notice listening after all'])
})

test('stopping ends the attempts', async () => {
  const { clock, attempts, opening } = setup(100, true)
  await opening.tried
  await opening.stop()
  await clock.advance(60_000)
  assert.equal(attempts.length, 1)
})

test('stopping waits for the attempt that is running', async () => {
  let opened: () => void = () => undefined
  const open = () => new Promise<void>(resolve => (opened = resolve))
  const opening = retryListen(open, { retry: true, log: keptLog() }, heldClock())
  let stopped = false
  const stopping = opening.stop().then(() => (stopped = true))
  await turns()
  assert.equal(stopped, false)
  opened()
  await stopping
})
