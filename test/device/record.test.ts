import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EMPTY_RECORD, type UserRecord } from '../../plugins/xaps/device/device.ts'
import {
  forget,
  noteCame,
  type Registration,
  register,
  removeGone,
  withoutExpired,
} from '../../plugins/xaps/device/record.ts'

const limit = { maxDevices: 3 }

function registration(token: string, at: number, more: Partial<Registration> = {}): Registration {
  const subtopic = 'com.apple.mobilemail'
  return { account: 'A', token, mailboxes: ['INBOX'], subtopic, topic: 'com.apple.mail', at, ...more }
}

function registered(...registrations: Registration[]): UserRecord {
  return registrations.reduce((record, next) => register(record, next, limit), EMPTY_RECORD)
}

const tokens = (record: UserRecord) => record.devices.map(device => device.token)

test('a first registration is a device, seen when it registered', () => {
  const [device] = registered(registration('aa', 5)).devices
  const { at, ...identity } = registration('aa', 5)
  assert.deepEqual(device, { ...identity, registeredAt: at, lastSeen: at })
})

test('a later registration of the same device refreshes all but the time of the first', () => {
  const news = { mailboxes: ['INBOX', 'Notes'], subtopic: 'com.apple.notes', topic: 'other' }
  const record = registered(registration('aa', 5), registration('aa', 9, news))
  assert.deepEqual(record.devices, [{ account: 'A', token: 'aa', ...news, registeredAt: 5, lastSeen: 9 }])
})

test('a registration that is not newer than the last one changes nothing', () => {
  const record = registered(registration('aa', 5))
  for (const at of [4, 5]) {
    assert.equal(register(record, registration('aa', at, { mailboxes: ['Old'] }), limit), record)
  }
})

const live = { ...limit, live: true }

test('a live registration is news, whatever time another clock has left for the device', () => {
  const record = registered(registration('aa', 900))
  const after = register(record, registration('aa', 5, { mailboxes: ['INBOX', 'New'] }), live)
  const [device] = after.devices
  assert.deepEqual(device, { ...device, mailboxes: ['INBOX', 'New'], registeredAt: 5, lastSeen: 5 })
})

test('a live registration brings a device back that is reported gone in the future, and ends the remembering', () => {
  const gone = removeGone(EMPTY_RECORD, { account: 'A', token: 'aa' }, 900)
  const back = register(gone, registration('aa', 5), live)
  assert.deepEqual(tokens(back), ['aa'])
  assert.deepEqual(back.gone, [])
  assert.deepEqual(
    removeGone(back, { account: 'A', token: 'aa' }, 4),
    back,
    'an old report still knows it as newer',
  )
})

test('a replay heeds times of the past in the record, and none of the future', () => {
  const replay = { ...limit, now: 100 }
  for (const [at, devices] of [
    [90, []],
    [110, ['aa']],
  ] as const) {
    const gone = removeGone(EMPTY_RECORD, { account: 'A', token: 'aa' }, at)
    assert.deepEqual(tokens(register(gone, registration('aa', 80), replay)), devices)
  }
  const ahead = register(EMPTY_RECORD, registration('aa', 110), limit)
  assert.equal(register(ahead, registration('aa', 80), replay).devices[0]?.lastSeen, 80)
})

test('a live registration has its place, although all others were seen in the future', () => {
  const names = Array.from({ length: 450 }, (_, n) => `${n}`.padEnd(1000, 'x'))
  const full = registered(...['aa', 'bb', 'cc'].map((token, at) => registration(token, 900 + at)))
  assert.deepEqual(tokens(register(full, registration('dd', 5), live)), ['bb', 'cc', 'dd'])
  const long = registered(
    ...['aa', 'bb'].map((token, at) => registration(token, 900 + at, { mailboxes: names })),
  )
  assert.deepEqual(tokens(register(long, registration('dd', 5, { mailboxes: names }), live)), ['bb', 'dd'])
})

test('two phones with one account id, or one token under two accounts, are different devices', () => {
  const record = registered(
    registration('aa', 1),
    registration('bb', 2),
    registration('aa', 3, { account: 'B' }),
  )
  assert.equal(record.devices.length, 3)
})

test('beyond the limit the device unseen for longest makes room', () => {
  const record = registered(...['aa', 'bb', 'cc'].map((token, at) => registration(token, at)))
  const refreshed = register(record, registration('aa', 3), limit)
  assert.deepEqual(tokens(register(refreshed, registration('dd', 4), limit)).sort(), ['aa', 'cc', 'dd'])
})

test('mailbox names that are too long together make the device unseen for longest give way', () => {
  const names = Array.from({ length: 450 }, (_, n) => `${n}`.padEnd(1000, 'x'))
  const record = registered(
    ...['aa', 'bb', 'cc'].map((token, at) => registration(token, at, { mailboxes: names })),
  )
  assert.deepEqual(tokens(record), ['bb', 'cc'])
})

test('a registration older than all of a full record is not taken', () => {
  const record = registered(...['aa', 'bb', 'cc'].map((token, at) => registration(token, at + 10)))
  assert.equal(register(record, registration('dd', 9), limit), record)
})

test('a device that Apple reports gone is removed and remembered', () => {
  const record = removeGone(
    registered(registration('aa', 5), registration('bb', 5)),
    { account: 'A', token: 'aa' },
    5,
  )
  assert.deepEqual(tokens(record), ['bb'])
  assert.deepEqual(record.gone, [{ account: 'A', token: 'aa', at: 5 }])
})

test('a device seen after the time of Apple\u2019s report stays, and nothing is remembered', () => {
  const record = registered(registration('aa', 6))
  assert.equal(removeGone(record, { account: 'A', token: 'aa' }, 5), record)
})

test('a registration from before the report never brings a gone device back', () => {
  const gone = removeGone(registered(registration('aa', 5)), { account: 'A', token: 'aa' }, 7)
  for (const at of [1, 6, 7]) assert.equal(register(gone, registration('aa', at), limit), gone)
})

test('a registration after the report brings the device back and ends the remembering', () => {
  const gone = removeGone(registered(registration('aa', 5)), { account: 'A', token: 'aa' }, 7)
  const back = register(gone, registration('aa', 8), limit)
  assert.deepEqual(back, {
    devices: [{ ...back.devices[0], registeredAt: 8, lastSeen: 8 }],
    gone: [],
  })
})

test('a report of a device that is not there is remembered, an older one then changes nothing', () => {
  const device = { account: 'A', token: 'aa' }
  const record = removeGone(EMPTY_RECORD, device, 7)
  assert.deepEqual(record.gone, [{ ...device, at: 7 }])
  assert.equal(removeGone(record, device, 7), record)
  assert.deepEqual(removeGone(record, device, 9).gone, [{ ...device, at: 9 }])
})

test('only so many reports are remembered, and those the newest', () => {
  let record: UserRecord = EMPTY_RECORD
  for (let at = 1; at <= 500; at++) record = removeGone(record, { account: 'A', token: String(at) }, at)
  assert.equal(record.gone.length, 100)
  assert.equal(Math.min(...record.gone.map(gone => gone.at)), 401)
})

test('forgetting removes the matching devices and hinders no new registration', () => {
  const record = registered(registration('aa', 5), registration('bb', 6))
  const less = forget(record, device => device.token.startsWith('a'))
  assert.deepEqual(tokens(less), ['bb'])
  assert.deepEqual(tokens(register(less, registration('aa', 7), limit)), ['bb', 'aa'])
  assert.equal(
    forget(record, () => false),
    record,
  )
})

test('devices and reports older than the expiry time go, younger ones stay', () => {
  const record: UserRecord = {
    ...registered(registration('aa', 100), registration('bb', 101)),
    gone: [
      { account: 'A', token: 'cc', at: 100 },
      { account: 'A', token: 'dd', at: 101 },
    ],
  }
  assert.equal(withoutExpired(record, 199, 100), record)
  const later = withoutExpired(record, 200, 100)
  assert.deepEqual(tokens(later), ['bb'])
  assert.deepEqual(
    later.gone.map(gone => gone.token),
    ['dd'],
  )
})

const token = fc.constantFrom('aa', 'bb', 'cc', 'dd', 'ee')
const at = fc.integer({ min: 1, max: 20 })
const step = fc.record({ kind: fc.constantFrom('register', 'gone'), token, at })

test('a phone that came is news once a minute, and for a user with devices only', () => {
  const record = registered(registration('aa', 5))
  const came = noteCame(record, { at: 100_000, afterMs: 7 })
  assert.deepEqual(came, { ...record, came: { at: 100_000, afterMs: 7 } })
  for (const at of [100_000, 159_999, 40_001]) assert.equal(noteCame(came, { at }), came)
  assert.deepEqual(noteCame(came, { at: 160_000 }).came, { at: 160_000 })
  // The clock of another host was ahead.
  assert.deepEqual(noteCame(came, { at: 40_000 }).came, { at: 40_000 })
  assert.equal(noteCame(EMPTY_RECORD, { at: 5 }), EMPTY_RECORD)
})

test('every other change keeps when a phone came', () => {
  const came = { at: 5 }
  const record = noteCame(registered(registration('aa', 5), registration('bb', 50)), came)
  const changed = [
    register(record, registration('cc', 60), limit),
    removeGone(record, { account: 'A', token: 'aa' }, 70),
    forget(record, ({ token }) => token === 'aa'),
    withoutExpired(record, 60, 20),
  ]
  for (const after of changed) {
    assert.notEqual(after, record)
    assert.deepEqual(after.came, came)
  }
})

test('whatever the order: no device twice, none beyond the limit, none that a report covers', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      let record: UserRecord = EMPTY_RECORD
      for (const { kind, token, at } of steps) {
        record =
          kind === 'register'
            ? register(record, registration(token, at), limit)
            : removeGone(record, { account: 'A', token }, at)
      }
      assert.equal(new Set(tokens(record)).size, record.devices.length)
      assert.ok(record.devices.length <= limit.maxDevices)
      for (const gone of record.gone) assert.ok(!tokens(record).includes(gone.token))
    }),
  )
})

test('the latest registration wins, whatever order they come in', () => {
  fc.assert(
    fc.property(fc.uniqueArray(at, { minLength: 2, maxLength: 6 }), times => {
      const forward = registered(...times.map(at => registration('aa', at)))
      const backward = registered(...times.toReversed().map(at => registration('aa', at)))
      assert.equal(forward.devices[0]?.lastSeen, Math.max(...times))
      assert.equal(backward.devices[0]?.lastSeen, Math.max(...times))
    }),
  )
})
