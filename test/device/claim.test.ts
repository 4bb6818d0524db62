import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { claimsInMemory, decideClaim } from '../../plugins/xaps/device/claim.ts'
import { movableClock } from './fixtures.ts'

const NOW = 1_000_000
const request = { ageMs: 100, windowMs: 5_000 }
const granted = { kind: 'granted', id: NOW }

test('a device never pushed may be pushed', () => {
  assert.deepEqual(decideClaim(undefined, NOW, request), granted)
})

test('a push at or after the event covers it, also when the window is over', () => {
  for (const ageMs of [100, 101, 90_000]) {
    assert.deepEqual(decideClaim(NOW - 100, NOW, { ageMs, windowMs: 50 }), { kind: 'covered' })
  }
})

test('a push before the event asks for the rest of the window', () => {
  assert.deepEqual(decideClaim(NOW - 101, NOW, request), { kind: 'wait', ms: 4_899 })
  assert.deepEqual(decideClaim(NOW - 4_999, NOW, request), { kind: 'wait', ms: 1 })
})

test('after the window the next push is granted', () => {
  assert.deepEqual(decideClaim(NOW - 5_000, NOW, request), granted)
})

test('the claim still held, or one from the future, stands in nobody\u2019s way', () => {
  assert.deepEqual(decideClaim(NOW - 1, NOW, { ...request, held: NOW - 1 }), granted)
  assert.deepEqual(decideClaim(NOW + 1, NOW, request), granted)
})

test('in memory: two grants are a window apart, and who has to wait is told how long', async () => {
  const gap = fc.integer({ min: 0, max: 20 })
  await fc.assert(
    fc.asyncProperty(
      fc.array(gap, { maxLength: 60 }),
      fc.integer({ min: 1, max: 50 }),
      async (gaps, windowMs) => {
        const clock = movableClock(NOW)
        const claims = claimsInMemory(() => clock.now())
        let last = Number.NEGATIVE_INFINITY
        for (const ms of gaps) {
          clock.move(ms)
          const claim = await claims.claim('push', { ageMs: 0, windowMs })
          if (claim.kind === 'granted') {
            assert.ok(claim.id - last >= windowMs)
            last = claim.id
          } else if (claim.kind === 'wait') assert.equal(clock.now() + claim.ms, last + windowMs)
          else assert.equal(clock.now(), last)
        }
      },
    ),
  )
})

test('in memory: the sweep drops what is older', async () => {
  const clock = movableClock(NOW)
  const claims = claimsInMemory(() => clock.now())
  await claims.claim('push', request)
  await claims.sweep(NOW + 1)
  clock.move(1)
  assert.equal((await claims.claim('push', request)).kind, 'granted')
})
