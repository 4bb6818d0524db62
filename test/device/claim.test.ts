import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decideClaim, LastClaims } from '../../plugins/xaps/device/claim.ts'

const NOW = 1_000_000
const request = { ageMs: 100, windowMs: 5_000 }
const granted = { kind: 'granted', id: NOW }

const covered = { kind: 'covered' }
const wait = (ms: number) => ({ kind: 'wait', ms })

for (const [name, last, more, expected] of [
  ['a device never pushed may be pushed', undefined, {}, granted],
  ['a push at the event covers it', NOW - 100, {}, covered],
  ['a push after the event covers it', NOW - 100, { ageMs: 101 }, covered],
  ['a push after the event covers it when the window is over', NOW - 100, { windowMs: 50 }, covered],
  ['a push before the event asks for the rest of the window', NOW - 101, {}, wait(4_899)],
  ['the rest of the window is a millisecond at least', NOW - 4_999, {}, wait(1)],
  ['after the window the next push is granted', NOW - 5_000, {}, granted],
  ['the claim still held holds up no push', NOW - 1, { held: NOW - 1 }, granted],
  ['a claim from the future holds up no push', NOW + 1, {}, granted],
] as const) {
  test(name, () => assert.deepEqual(decideClaim(last, NOW, { ...request, ...more }), expected))
}

test('two grants are a window apart, and a wait ends with the window', () => {
  const gap = fc.integer({ min: 0, max: 20 })
  fc.assert(
    fc.property(fc.array(gap, { maxLength: 60 }), fc.integer({ min: 1, max: 50 }), (gaps, windowMs) => {
      const claims = new LastClaims()
      let now = NOW
      let last = Number.NEGATIVE_INFINITY
      for (const ms of gaps) {
        now += ms
        const claim = claims.claim('push', now, { ageMs: 0, windowMs })
        if (claim.kind === 'granted') {
          assert.ok(claim.id - last >= windowMs)
          last = claim.id
        } else if (claim.kind === 'wait') assert.equal(now + claim.ms, last + windowMs)
        else assert.equal(now, last)
      }
    }),
  )
})

test('a claim is remembered for ten minutes and for two windows, and not much longer', () => {
  for (const [windowMs, keptMs] of [
    [5_000, 600_000],
    [3_600_000, 7_200_000],
  ] as const) {
    const claims = new LastClaims()
    const ask = (after: number) => claims.claim('push', NOW + after, { ageMs: after, windowMs }).kind
    assert.equal(ask(0), 'granted')
    claims.claim('another', NOW + keptMs - 1, { ageMs: 0, windowMs })
    assert.equal(ask(keptMs - 1), 'covered')
    claims.claim('another', NOW + 2 * keptMs, { ageMs: 0, windowMs })
    assert.equal(ask(2 * keptMs), 'granted')
  }
})

test('after a jump of the clock, forth and back, claims are forgotten as ever', () => {
  const claims = new LastClaims()
  const year = 365 * 86_400_000
  const ask = (at: number) => claims.claim('push', at, { ageMs: year, windowMs: 5_000 }).kind
  assert.equal(ask(NOW), 'granted')
  claims.claim('another', NOW + year, request)
  for (let minute = 1; minute < 20; minute++) claims.claim(`${minute}`, NOW + minute * 60_000, request)
  assert.equal(ask(NOW + 20 * 60_000), 'granted')
})
