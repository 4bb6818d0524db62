import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Device, EMPTY_RECORD, type UserRecord } from '../../plugins/xaps/device/device.ts'
import { restore } from '../../plugins/xaps/device/record.ts'

const device = (account: string, lastSeen: number, registeredAt = lastSeen): Device => ({
  account,
  token: 'a1'.repeat(32),
  mailboxes: ['INBOX'],
  subtopic: 'com.apple.mobilemail',
  topic: 'topic',
  registeredAt,
  lastSeen,
})

const holding = (...devices: readonly Device[]): UserRecord => ({ devices, gone: [] })
const DATED = { maxDevices: 3, dated: true }
const UNDATED = { maxDevices: 3, dated: false }

test('a new device is taken with both of its times', () => {
  const { record, outcome } = restore(EMPTY_RECORD, device('A', 20, 10), DATED)
  assert.equal(outcome, 'taken')
  assert.deepEqual(record, holding(device('A', 20, 10)))
})

test('a later registration renews a known device, which stays registered since the earlier of both times', () => {
  const before = holding(device('A', 20, 15))
  assert.deepEqual(restore(before, device('A', 30, 10), DATED), {
    record: holding(device('A', 30, 10)),
    outcome: 'renewed',
  })
  assert.deepEqual(restore(before, device('A', 30, 17), DATED).record, holding(device('A', 30, 15)))
})

test('an older registration, or one of unknown age, changes nothing in a known device', () => {
  const before = holding(device('A', 20))
  for (const [candidate, rules] of [
    [device('A', 20), DATED],
    [device('A', 19, 1), DATED],
    [device('A', 99), UNDATED],
  ] as const) {
    const { record, outcome } = restore(before, candidate, rules)
    assert.equal(outcome, 'known')
    assert.equal(record, before)
  }
})

test('a device that Apple reported gone since stays gone; one that registered after that comes back', () => {
  const { account, token } = device('A', 0)
  const before: UserRecord = { devices: [], gone: [{ account, token, at: 50 }] }
  assert.deepEqual(restore(before, device('A', 50), DATED), { record: before, outcome: 'gone' })
  assert.deepEqual(restore(before, device('A', 99), UNDATED), { record: before, outcome: 'gone' })
  assert.deepEqual(restore(before, device('A', 51), DATED), {
    record: holding(device('A', 51)),
    outcome: 'taken',
  })
})

test('when there is no room, the longest unseen device gives way to one seen later', () => {
  const before = holding(device('A', 10), device('B', 20), device('C', 30))
  assert.deepEqual(restore(before, device('D', 15), DATED).record, {
    devices: [device('B', 20), device('C', 30), device('D', 15)],
    gone: [],
  })
  assert.deepEqual(restore(before, device('D', 5), DATED), { record: before, outcome: 'no room' })
})

test('a device of unknown age never takes the place of another', () => {
  const before = holding(device('A', 10), device('B', 20), device('C', 30))
  assert.deepEqual(restore(before, device('D', 99), UNDATED), { record: before, outcome: 'no room' })
})
