/** Pushes while the store cannot be asked who else has pushed. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { settle } from '../support/fake-clock.ts'
import { OK } from './parts.ts'
import { bench, REFUSED, times } from './sender-bench.ts'

test('pushes go on when the store cannot be asked; that is said once', async () => {
  const b = bench({ claim: () => () => Promise.reject(new Error('store away')) })
  const start = b.clock.now()
  for (let second = 0; second < 12; second += 1) {
    b.happen(1)
    await b.clock.advance(1_000)
  }
  await b.clock.advance(10_000)
  assert.deepEqual(times(b, 1, start), [0, 5_000, 10_000, 15_000])
  assert.deepEqual(b.log.loud(), [
    'warn: the device store does not answer; pushing without asking other processes cause="store away"',
  ])
})

test('an outage of the store and its end are said, and when it flaps how often', async () => {
  const answers = ['fail', 'granted', 'fail', 'granted', 'fail', 'fail']
  const b = bench({
    claim: (_, clock) => async () => {
      if (answers.shift() === 'fail') throw new Error('store away')
      return { kind: 'granted', id: clock.now() }
    },
  })
  for (let push = 0; push < 6; push += 1) {
    b.happen(1)
    await b.clock.advance(10_000)
  }
  await b.clock.advance(600_000)
  const away =
    'warn: the device store does not answer; pushing without asking other processes cause="store away"'
  assert.deepEqual(b.log.loud(), [
    away,
    'notice: the device store is asked before each push again',
    `${away} changes=3 minutes=5`,
  ])
})

test('a claim that is held never stands in its own way, even after the store was away', async () => {
  let away = false
  const b = bench({
    claim: ask => async (push, request) => {
      if (away) throw new Error('store away')
      return ask(push, request)
    },
  })
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(400)
  away = true
  await b.clock.advance(2_000)
  away = false
  b.apple.answer = () => OK
  await b.clock.advance(60_000)
  assert.equal(b.apple.accepted().length, 1)
})

test('a claim whose answer was lost does not pass for the push of another process', async () => {
  let lose = true
  const b = bench({
    claim: ask => async (push, request) => {
      const claim = await ask(push, request)
      if (lose) throw new Error('connection lost after the command was sent')
      return claim
    },
  })
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(100)
  lose = false
  b.apple.answer = () => OK
  await b.clock.advance(60_000)
  assert.equal(b.apple.accepted().length, 1)
})

test('when a push has got through, the store is believed again', async () => {
  const answers = ['fail', 'covered']
  const b = bench({
    claim: () => async () => {
      if (answers.shift() === 'fail') throw new Error('store away')
      return { kind: 'covered' }
    },
  })
  b.happen(1)
  await settle()
  b.happen(1)
  await b.clock.advance(1_000)
  b.happen(1)
  await b.clock.advance(60_000)
  assert.equal(b.apple.arrivals.length, 1)
})
