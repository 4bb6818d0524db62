import assert from 'node:assert/strict'
import test from 'node:test'
import type { Verdict } from '../../plugins/xaps/apns/verdict.ts'
import { EMPTY_RECORD, type UserRecord } from '../../plugins/xaps/device/device.ts'
import { removeGone } from '../../plugins/xaps/device/record.ts'
import { makeSettler, type Settler } from '../../plugins/xaps/push/settle.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'
import { deviceOf, targetOf, tokenOf } from './parts.ts'

interface Bench {
  readonly settler: Settler
  readonly log: RecordedLog
  record: UserRecord
  othersAccepted: boolean
  /** The numbers of the devices that are left. */
  left(): number[]
}

/** A store that holds the devices 1 and 2 of one user, last seen at 2,000. */
function bench(): Bench {
  const log = recordedLog()
  const b: Bench = {
    log,
    record: { ...EMPTY_RECORD, devices: [deviceOf(1), deviceOf(2)] },
    othersAccepted: false,
    left: () => b.record.devices.map(({ token }) => Number(token)),
    settler: makeSettler(
      async (_user, change) => {
        b.record = change(b.record)
        return b.record
      },
      removeGone,
      log,
      () => b.othersAccepted,
    ),
  }
  return b
}

const BAD_TOKEN: Verdict = { kind: 'refused', reason: 'BadDeviceToken', fault: 'token' }

test('410 removes a device that was last seen at or before its time, and no other', async () => {
  const b = bench()
  await b.settler.settle(targetOf(1), { kind: 'gone', since: 2_000 })
  assert.deepEqual(b.left(), [2])
  assert.match(b.log.lines[0]?.message ?? '', /device removed/)
})

test('410 keeps a device that has registered since', async () => {
  const b = bench()
  await b.settler.settle(targetOf(1), { kind: 'gone', since: 1_999 })
  assert.deepEqual(b.left(), [1, 2])
  assert.match(b.log.lines[0]?.message ?? '', /registered again/)
})

test('the record in the store decides, not what the push knew of the device', async () => {
  const b = bench()
  b.record = { ...EMPTY_RECORD, devices: [deviceOf(1, { lastSeen: 5_000 })] }
  await b.settler.settle(targetOf(1), { kind: 'gone', since: 4_000 })
  assert.deepEqual(b.left(), [1])
})

test('BadDeviceToken removes a device when others were accepted lately', async () => {
  const b = bench()
  b.othersAccepted = true
  await b.settler.settle(targetOf(1), BAD_TOKEN)
  assert.deepEqual(b.left(), [2])
})

test('BadDeviceToken keeps a device that registered again while it was pushed', async () => {
  const b = bench()
  b.othersAccepted = true
  b.record = { ...EMPTY_RECORD, devices: [deviceOf(1, { lastSeen: 2_001 })] }
  await b.settler.settle(targetOf(1), BAD_TOKEN)
  assert.deepEqual(b.left(), [1])
})

test('BadDeviceToken for everybody removes nobody and is an alarm, once', async () => {
  const b = bench()
  await b.settler.settle(targetOf(1), BAD_TOKEN)
  await b.settler.settle(targetOf(2), BAD_TOKEN)
  assert.deepEqual(b.left(), [1, 2])
  assert.equal(b.log.loud().length, 1)
  assert.match(b.log.loud()[0] ?? '', /^warn: .*is \[apns\] environment right\?$/)
})

for (const verdict of [
  { kind: 'sent' },
  { kind: 'refused', reason: 'DeviceTokenNotForTopic', fault: 'device' },
  { kind: 'refused', reason: 'BadCertificate', fault: 'setup' },
  { kind: 'later', whom: 'all', reason: 'ServiceUnavailable' },
  { kind: 'later', whom: 'device', reason: 'TooManyRequests' },
  { kind: 'broken', cause: 'ECONNRESET', of: 'connection' },
] satisfies Verdict[]) {
  test(`nothing is removed for ${JSON.stringify(verdict)}`, async () => {
    const b = bench()
    b.othersAccepted = true
    await b.settler.settle(targetOf(1), verdict)
    assert.deepEqual(b.left(), [1, 2])
  })
}

test('a store that fails is said, with the token masked, and rejects nothing', async () => {
  const log = recordedLog()
  const settler = makeSettler(
    () => Promise.reject(new Error('store away')),
    removeGone,
    log,
    () => true,
  )
  await settler.settle(targetOf(1), { kind: 'gone', since: 2_000 })
  assert.match(log.loud()[0] ?? '', /^warn: .*could not be removed .*cause="store away"$/)
  assert.ok(!JSON.stringify(log.lines).includes(tokenOf(1)))
  assert.ok(!JSON.stringify(log.lines).includes('user1@'))
})
