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

type Outcome = Pick<Consequence, 'entry' | 'check'> & {
  /** When another device is pushed that has an event while this answer is on its way: at once, or after a wait. */
  readonly others: 'go' | 'wait'
  /** What is left of the device when Apple has accepted another. */
  readonly device: 'kept' | 'removed'
  readonly words: string
}

const ROWS: readonly (readonly [Answer, Outcome])[] = [
  [OK, { others: 'go', entry: 'done', device: 'kept', check: 'ok', words: 'accepted by Apple' }],
  [
    { status: 410, reason: 'Unregistered', timestamp: 2_000 },
    {
      others: 'go',
      entry: 'done',
      device: 'removed',
      check: 'ok',
      words: 'gone since 1970-01-01T00:00:02.000Z',
    },
  ],
  [
    { status: 400, reason: 'BadDeviceToken' },
    { others: 'go', entry: 'done', device: 'removed', check: 'ok', words: 'refused: BadDeviceToken' },
  ],
  [
    { status: 400, reason: 'DeviceTokenNotForTopic' },
    { others: 'go', entry: 'done', device: 'kept', check: 'ok', words: 'refused: DeviceTokenNotForTopic' },
  ],
  [
    { status: 403, reason: 'BadCertificate' },
    { others: 'wait', entry: 'retry', device: 'kept', check: 'FAIL', words: 'refused: BadCertificate' },
  ],
  [
    { status: 429, reason: 'TooManyRequests' },
    { others: 'go', entry: 'backOff', device: 'kept', check: 'warn', words: 'not now: TooManyRequests' },
  ],
  [
    { status: 500, reason: 'InternalServerError' },
    { others: 'go', entry: 'backOff', device: 'kept', check: 'warn', words: 'not now: InternalServerError' },
  ],
  [
    { status: 403, reason: 'ExpiredProviderToken' },
    { others: 'wait', entry: 'retry', device: 'kept', check: 'warn', words: 'not now: ExpiredProviderToken' },
  ],
  [
    { fault: 'stream reset', of: 'stream' },
    { others: 'go', entry: 'backOff', device: 'kept', check: 'FAIL', words: 'no answer: stream reset' },
  ],
  [
    { fault: 'ECONNREFUSED', of: 'connection' },
    { others: 'wait', entry: 'retry', device: 'kept', check: 'FAIL', words: 'no answer: ECONNREFUSED' },
  ],
]

for (const [answer, expected] of ROWS) {
  test(`${JSON.stringify(answer)}: ${JSON.stringify(expected)}`, async () => {
    const verdict = verdictOf(answer, 2_000)
    const { entry, check } = consequenceOf(verdict)
    assert.deepEqual(
      { others: await others(answer), entry, device: await device(verdict), check, words: inWords(verdict) },
      expected,
    )
  })
}

async function others(answer: Answer): Promise<Outcome['others']> {
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

async function device(verdict: Verdict): Promise<Outcome['device']> {
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
