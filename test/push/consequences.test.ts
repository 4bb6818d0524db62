/** What each verdict leads to, row by row: once in the table, and once in a sender and a settler that read it. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { type Verdict, verdictOf } from '../../plugins/xaps/apns/verdict.ts'
import { EMPTY_RECORD, type UserRecord } from '../../plugins/xaps/device/device.ts'
import { type Consequence, consequenceOf, inWords } from '../../plugins/xaps/push/consequences.ts'
import { Settler } from '../../plugins/xaps/push/settle.ts'
import { noLog } from '../support/recorded-log.ts'
import { deviceOf, OK, targetOf, tokenOf } from './parts.ts'
import {
  BAD_CERTIFICATE,
  bench,
  REFUSED,
  SERVER_ERROR,
  STREAM_RESET,
  said,
  TOO_MANY,
} from './sender-bench.ts'

/** Whether another device is pushed meanwhile, and whether this one is kept when Apple has accepted another. */
type Row = [
  verdict: Verdict,
  others: 'go' | 'wait',
  entry: Consequence['entry'],
  device: 'kept' | 'removed',
  check: Consequence['check'],
  words: string,
]

const GONE = verdictOf({ status: 410, reason: 'Unregistered' }, 2_000)

const ROWS: readonly Row[] = [
  [OK, 'go', 'done', 'kept', 'ok', 'accepted by Apple'],
  [GONE, 'go', 'done', 'removed', 'ok', 'gone since 1970-01-01T00:00:02.000Z'],
  [said(400, 'BadDeviceToken'), 'go', 'done', 'removed', 'ok', 'refused: BadDeviceToken'],
  [said(400, 'DeviceTokenNotForTopic'), 'go', 'done', 'kept', 'ok', 'refused: DeviceTokenNotForTopic'],
  [BAD_CERTIFICATE, 'wait', 'retry', 'kept', 'FAIL', 'refused: BadCertificate'],
  [TOO_MANY, 'go', 'backOff', 'kept', 'warn', 'not now: TooManyRequests'],
  [SERVER_ERROR, 'go', 'backOff', 'kept', 'warn', 'not now: InternalServerError'],
  [said(403, 'ExpiredProviderToken'), 'wait', 'retry', 'kept', 'warn', 'not now: ExpiredProviderToken'],
  [STREAM_RESET, 'go', 'backOff', 'kept', 'FAIL', 'no answer: stream reset'],
  [REFUSED, 'wait', 'retry', 'kept', 'FAIL', 'no answer: connect ECONNREFUSED'],
]

for (const [verdict, ...expected] of ROWS) {
  test(`${verdict.kind}: ${expected.join(', ')}`, async () => {
    const { entry, check } = consequenceOf(verdict)
    const found = [await others(verdict), entry, await device(verdict), check, inWords(verdict)]
    assert.deepEqual(found, expected)
  })
}

async function others(verdict: Verdict): Promise<'go' | 'wait'> {
  const b = bench()
  b.apple.answer = ({ token }) => (token === tokenOf(1) ? verdict : OK)
  b.happen(1)
  await b.clock.advance(1)
  const pending = b.sender.pending > 0
  assert.equal(pending, consequenceOf(verdict).entry !== 'done', 'whether it is tried again')
  b.happen(2)
  await b.clock.advance(1)
  return b.apple.accepted(2).length === 1 ? 'go' : 'wait'
}

async function device(verdict: Verdict): Promise<'kept' | 'removed'> {
  let record: UserRecord = { ...EMPTY_RECORD, devices: [deviceOf(1)] }
  const update = async (_user: string, change: (before: UserRecord) => UserRecord): Promise<UserRecord> => {
    record = change(record)
    return record
  }
  const settler = new Settler({ update }, noLog)
  await settler.settle(targetOf(2), OK, 1)
  await settler.settle(targetOf(1), verdict, 1)
  return record.devices.length === 1 ? 'kept' : 'removed'
}
