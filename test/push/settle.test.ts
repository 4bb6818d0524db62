import assert from 'node:assert/strict'
import test from 'node:test'
import type { Verdict } from '../../plugins/xaps/apns/verdict.ts'
import { EMPTY_RECORD, type UserRecord } from '../../plugins/xaps/device/device.ts'
import { Settler } from '../../plugins/xaps/push/settle.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'
import { deviceOf, OK, targetOf, tokenOf } from './parts.ts'

interface Bench {
  readonly clock: FakeClock
  readonly settler: Settler
  readonly log: RecordedLog
  record: UserRecord
  /** Settles a push to this device that has just been made. */
  settle(device: number, verdict: Verdict): Promise<void> | undefined
  /** The numbers of the devices that are left. */
  left(): number[]
}

/** A store that holds the devices 1 and 2 of one user, last seen at 2,000. */
function bench(): Bench {
  const log = recordedLog()
  const clock = new FakeClock()
  const update = async (_user: string, change: (record: UserRecord) => UserRecord): Promise<UserRecord> => {
    b.record = change(b.record)
    return b.record
  }
  const b: Bench = {
    clock,
    log,
    record: { ...EMPTY_RECORD, devices: [deviceOf(1), deviceOf(2)] },
    left: () => b.record.devices.map(({ token }) => Number(token)),
    settle: (device, verdict) => b.settler.settle(targetOf(device), verdict, clock.now()),
    settler: new Settler({ update }, log, clock),
  }
  return b
}

const BAD_TOKEN: Verdict = { kind: 'refused token', reason: 'BadDeviceToken' }

const gone = (since: number): Verdict => ({ kind: 'gone', reason: 'Unregistered', since })

for (const [name, since, lastSeen, left, line] of [
  ['removes a device that was last seen at its time', 2_000, 2_000, [2], /device removed/],
  ['keeps a device that has registered since', 1_999, 2_000, [1, 2], /registered again/],
  ['keeps a device that has registered since it was pushed', 4_000, 5_000, [1, 2], /registered again/],
] as const) {
  test(`410 ${name}`, async () => {
    const b = bench()
    b.record = { ...EMPTY_RECORD, devices: [deviceOf(1, { lastSeen }), deviceOf(2)] }
    await b.settle(1, gone(since))
    assert.deepEqual(b.left(), left)
    assert.match(b.log.lines[0]?.message ?? '', line)
  })
}

test('BadDeviceToken removes a device for an hour after another was accepted', async () => {
  const b = bench()
  await b.settle(2, OK)
  await b.clock.advance(3_600_000)
  await b.settle(1, BAD_TOKEN)
  assert.deepEqual(b.left(), [1, 2])
  await b.settle(2, OK)
  await b.clock.advance(3_599_999)
  await b.settle(1, BAD_TOKEN)
  assert.deepEqual(b.left(), [2])
})

test('a push that was accepted before a renewal, or started before it, says nothing of the new credentials', async () => {
  const b = bench()
  const startedAt = b.clock.now()
  await b.settle(2, OK)
  await b.clock.advance(10)
  b.settler.credentialsRenewed()
  await b.settle(1, BAD_TOKEN)
  await b.settler.settle(targetOf(2), OK, startedAt)
  await b.settle(1, BAD_TOKEN)
  assert.deepEqual(b.left(), [1, 2])
  await b.clock.advance(10)
  await b.settle(2, OK)
  await b.settle(1, BAD_TOKEN)
  assert.deepEqual(b.left(), [2])
})

test('BadDeviceToken keeps a device that registered again while it was pushed', async () => {
  const b = bench()
  await b.settle(2, OK)
  b.record = { ...EMPTY_RECORD, devices: [deviceOf(1, { lastSeen: 2_001 })] }
  await b.settle(1, BAD_TOKEN)
  assert.deepEqual(b.left(), [1])
})

test('BadDeviceToken for everybody removes nobody and is an alarm, once', async () => {
  const b = bench()
  await b.settle(1, BAD_TOKEN)
  await b.settle(2, BAD_TOKEN)
  assert.deepEqual(b.left(), [1, 2])
  assert.equal(b.log.loud().length, 1)
  assert.match(b.log.loud()[0] ?? '', /^warn: .*is \[apns\] environment right\?$/)
})

test('a store that fails is said once a minute, with the token masked, and rejects nothing', async () => {
  const log = recordedLog()
  const clock = new FakeClock()
  const settler = new Settler({ update: () => Promise.reject(new Error('store away')) }, log, clock)
  for (let device = 1; device <= 20; device += 1) await settler.settle(targetOf(device), gone(2_000), 0)
  assert.equal(log.loud().length, 1)
  assert.match(log.loud()[0] ?? '', /^warn: .*could not be removed .*cause="store away"$/)
  assert.ok(!JSON.stringify(log.lines).includes(tokenOf(1)))
  assert.ok(!JSON.stringify(log.lines).includes('user1@'))
  await clock.advance(60_000)
  await settler.settle(targetOf(1), gone(2_000), 0)
  assert.equal(log.loud().length, 2)
})
