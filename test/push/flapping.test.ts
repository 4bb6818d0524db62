/** An Apple that answers some pushes with 503, at random: how many lines that makes, and who waits for it. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { seededNumbers } from '../fuzz/random.ts'
import { OK, tokenOf } from './parts.ts'
import { type Bench, bench, UNAVAILABLE } from './sender-bench.ts'

const MINUTES = 11
const DEVICES = 300

/** Lets ten mails a second come in while Apple answers this share of pushes with 503. Resolves with their times. */
async function busyDay(b: Bench, share: number): Promise<{ at: number; device: number }[]> {
  const random = seededNumbers(7)
  b.apple.latencyMs = 30
  b.apple.answer = () => (random() < share ? UNAVAILABLE : OK)
  const mails: { at: number; device: number }[] = []
  for (let tenth = 0; tenth < MINUTES * 600; tenth += 1) {
    mails.push({ at: b.clock.now(), device: tenth % DEVICES })
    b.happen(tenth % DEVICES)
    await b.clock.advance(100)
  }
  return mails
}

test('5 % of 503 over 11 minutes: no line, and nobody waits for the pushes of others', async () => {
  const b = bench()
  const mails = await busyDay(b, 0.05)
  assert.ok(b.log.loud().length <= 4, b.log.loud().join('\n'))
  const first = new Set(b.apple.arrivals.map(({ at, token }) => `${at} ${token}`))
  const late = mails.filter(({ at, device }) => !first.has(`${at} ${tokenOf(device)}`))
  assert.deepEqual(late, [], 'each is tried the moment it comes in')
  await b.clock.advance(60_000)
  assert.equal(b.sender.pending, 0)
})

test('an Apple that refuses about half, again and again, makes a handful of lines, the last of them true', async () => {
  const b = bench()
  await busyDay(b, 0.6)
  const flaps = b.log.loud()
  assert.ok(flaps.length >= 3 && flaps.length <= 6, flaps.join('\n'))
  assert.match(flaps[0] ?? '', /^warn: Apple asks to wait; .*cause=ServiceUnavailable$/)
  assert.match(flaps[1] ?? '', /^notice: Apple accepts pushes again/)
  assert.match(flaps[2] ?? '', / changes=\d+ minutes=5$/)
  b.apple.answer = () => OK
  await b.clock.advance(600_000)
  assert.match(b.log.loud().at(-1) ?? '', /^notice: Apple accepts pushes again/)
  assert.equal(b.sender.pending, 0)
  assert.equal(b.clock.timers, 0)
})
