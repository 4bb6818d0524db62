import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Device } from '../../plugins/xaps/device/device.ts'
import { isSuperseded, SUPERSEDED_AFTER_MS, withoutSuperseded } from '../../plugins/xaps/device/superseded.ts'
import { deviceOf, tokenOf } from '../push/parts.ts'

const HOUR = 3_600_000
const NOW = 1_800_000_000_000

/** A row of the phone number 1, unless `token` is another's. */
function row(account: string, lastSeen: number, token = tokenOf(1)): Device {
  return deviceOf(1, { account, token, lastSeen })
}

const accounts = (devices: readonly Device[], now = NOW) =>
  withoutSuperseded(devices, now).map(({ account }) => account)

test('an account id that the phone has left is not pushed from two days after its last renewal on', () => {
  const left = NOW - 10 * 24 * HOUR
  for (let hour = 0; hour <= 72; hour += 1) {
    const now = left + hour * HOUR
    const devices = [row('old', left), row('new', now)]
    assert.deepEqual(accounts(devices, now), hour > 48 ? ['new'] : ['old', 'new'], `after ${hour} hours`)
  }
})

test('the bound itself still counts as alive', () => {
  assert.deepEqual(accounts([row('old', NOW - SUPERSEDED_AFTER_MS), row('new', NOW)]), ['old', 'new'])
  assert.deepEqual(accounts([row('old', NOW - SUPERSEDED_AFTER_MS - 1), row('new', NOW)]), ['new'])
})

test('a phone with the mailbox set up twice renews both rows, and both stay', () => {
  for (let day = 0; day < 30; day += 1) {
    const now = NOW + day * 23 * HOUR
    assert.deepEqual(accounts([row('one', now - 22 * HOUR), row('two', now)], now), ['one', 'two'])
  }
})

test('a phone that has been off for weeks keeps its only row, or all that were alive together', () => {
  const long = NOW - 25 * 24 * HOUR
  assert.deepEqual(accounts([row('one', long)]), ['one'])
  assert.deepEqual(accounts([row('one', long), row('two', long + HOUR)]), ['one', 'two'])
})

test('other tokens of the user do not count', () => {
  assert.deepEqual(accounts([row('phone', NOW - 20 * 24 * HOUR), row('tablet', NOW, tokenOf(2))]), [
    'phone',
    'tablet',
  ])
})

test('a time left by a clock that is weeks ahead does not put out rows of today', () => {
  assert.deepEqual(accounts([row('ahead', NOW + 20 * 24 * HOUR), row('today', NOW - HOUR)]), [
    'ahead',
    'today',
  ])
  assert.deepEqual(accounts([row('ahead', NOW + 20 * 24 * HOUR), row('old', NOW - 3 * 24 * HOUR)]), ['ahead'])
})

test('of each token at least one row is pushed, and what is left out is older than one that stays', () => {
  const rows = fc.array(
    fc.record({ account: fc.uuid(), phone: fc.nat(3), age: fc.integer({ min: -5, max: 30 * 24 }) }),
    { maxLength: 20 },
  )
  fc.assert(
    fc.property(rows, made => {
      const devices = made.map(({ account, phone, age }) => row(account, NOW - age * HOUR, tokenOf(phone)))
      const kept = withoutSuperseded(devices, NOW)
      const keptTokens = new Set(kept.map(({ token }) => token))
      assert.deepEqual(keptTokens, new Set(devices.map(({ token }) => token)))
      for (const device of devices) {
        const newer = kept.some(({ token, lastSeen }) => token === device.token && lastSeen > device.lastSeen)
        if (isSuperseded(device, devices, NOW)) assert.ok(newer)
      }
    }),
  )
})
