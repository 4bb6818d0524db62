/** What each verdict leads to, row by row: once in the table, and once in a sender and a settler that read it. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { type Answer, type Verdict, verdictOf } from '../../plugins/xaps/apns/verdict.ts'
import { EMPTY_RECORD, type UserRecord } from '../../plugins/xaps/device/device.ts'
import { type Consequence, consequenceOf, inWords } from '../../plugins/xaps/push/consequences.ts'
import { Settler } from '../../plugins/xaps/push/settle.ts'
import { noLog } from '../support/recorded-log.ts'
import { deviceOf, OK, targetOf, tokenOf } from './parts.ts'
import { bench } from './sender-bench.ts'

/** Whether another device is pushed meanwhile, and whether this one is kept when Apple has accepted another. */
type Row = [
  answer: Answer,
  others: 'go' | 'wait',
  entry: Consequence['entry'],
  device: 'kept' | 'removed',
  check: Consequence['check'],
  words: string,
]

const no = (status: number, reason: string): Answer => ({ status, reason })
const fault = (of: 'stream' | 'connection'): Answer => ({ fault: 'reset', of })

const ROWS: readonly Row[] = [
  [OK, 'go', 'done', 'kept', 'ok', 'accepted by Apple'],
  [no(410, 'Unregistered'), 'go', 'done', 'removed', 'ok', 'gone since 1970-01-01T00:00:02.000Z'],
  [no(400, 'BadDeviceToken'), 'go', 'done', 'removed', 'ok', 'refused: BadDeviceToken'],
  [no(400, 'DeviceTokenNotForTopic'), 'go', 'done', 'kept', 'ok', 'refused: DeviceTokenNotForTopic'],
  [no(403, 'BadCertificate'), 'wait', 'retry', 'kept', 'FAIL', 'refused: BadCertificate'],
  [no(429, 'TooManyRequests'), 'go', 'backOff', 'kept', 'warn', 'not now: TooManyRequests'],
  [no(500, 'InternalServerError'), 'go', 'backOff', 'kept', 'warn', 'not now: InternalServerError'],
  [no(403, 'ExpiredProviderToken'), 'wait', 'retry', 'kept', 'warn', 'not now: ExpiredProviderToken'],
  [fault('stream'), 'go', 'backOff', 'kept', 'FAIL', 'no answer: reset'],
  [fault('connection'), 'wait', 'retry', 'kept', 'FAIL', 'no answer: reset'],
]

for (const [answer, ...expected] of ROWS) {
  test(`${JSON.stringify(answer)}: ${expected.join(', ')}`, async () => {
    const verdict = verdictOf(answer, 2_000)
    const { entry, check } = consequenceOf(verdict)
    const found = [await others(answer), entry, await device(verdict), check, inWords(verdict)]
    assert.deepEqual(found, expected)
  })
}

async function others(answer: Answer): Promise<'go' | 'wait'> {
  const b = bench()
  b.apple.answer = ({ token }) => (token === tokenOf(1) ? answer : OK)
  b.happen(1)
  await b.clock.advance(1)
  const pending = b.sender.pending > 0
  assert.equal(pending, consequenceOf(verdictOf(answer, 0)).entry !== 'done', 'whether it is tried again')
  b.happen(2)
  await b.clock.advance(1)
  return b.apple.accepted(tokenOf(2)).length === 1 ? 'go' : 'wait'
}

async function device(verdict: Verdict): Promise<'kept' | 'removed'> {
  let record: UserRecord = { ...EMPTY_RECORD, devices: [deviceOf(1)] }
  const update = async (_user: string, change: (before: UserRecord) => UserRecord): Promise<UserRecord> => {
    record = change(record)
    return record
  }
  const settler = new Settler({ update }, noLog)
  await settler.settle(targetOf(2), { kind: 'sent' }, 1)
  await settler.settle(targetOf(1), verdict, 1)
  return record.devices.length === 1 ? 'kept' : 'removed'
}
