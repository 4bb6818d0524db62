import assert from 'node:assert/strict'
import test from 'node:test'
import { mailsOf, NO_MAILS, Observer, type Pushed } from '../../plugins/xaps/observe/observer.ts'
import { MOST_DECIDED } from '../../plugins/xaps/observe/report.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { recordedLog } from '../support/recorded-log.ts'

const ALICE = 'alice@example.org'
const TOKEN = '0123456789abcdef'.repeat(4)

function setup() {
  const clock = new FakeClock(1_000_000)
  const log = recordedLog()
  return { clock, log, observer: new Observer(log, clock) }
}

const pushed = (more: Partial<Pushed> = {}): Pushed => ({
  user: ALICE,
  token: TOKEN,
  mails: mailsOf('MAIL.1'),
  fresh: mailsOf('MAIL.1'),
  verdict: 'sent',
  apnsId: 'AN-ID',
  startedAt: 999_900,
  mailAt: 999_800,
  ...more,
})

test('a decision is counted, has one line with the mail that it is of, and is told once', () => {
  const { observer, log } = setup()
  observer.decided('waits_window', { user: ALICE, token: TOKEN, mails: mailsOf('MAIL.1') })
  assert.deepEqual(log.lines, [
    {
      level: 'info',
      message: "waits for the end of the window after the device's last push",
      fields: { decision: 'waits_window', user: 'a***@example.org', token: '01234567…cdef', mail: 'MAIL.1' },
    },
  ])
  const { sums, decided } = observer.report(0, undefined)
  assert.deepEqual(sums.counters.xaps_decisions_total, { waits_window: 1 })
  assert.deepEqual(decided, [{ user: ALICE, decision: 'waits_window', at: 1_000_000, mail: 'MAIL.1' }])
  assert.deepEqual(observer.report(0, undefined).decided, [])
})

test('a change of flags is counted, and is no line of level info and no last mail', () => {
  const { observer, log } = setup()
  observer.decided('waits_change', { user: ALICE, mails: mailsOf(undefined), isChange: true })
  assert.equal(log.lines[0]?.level, 'debug')
  const { sums, decided } = observer.report(0, undefined)
  assert.deepEqual(sums.counters.xaps_decisions_total, { waits_change: 1 })
  assert.deepEqual(decided, [])
})

test("an accepted push has one line, with Apple's name for it and the mails that it is for", () => {
  const { observer, log } = setup()
  observer.pushed(pushed({ mails: { count: 3, names: ['MAIL.1', 'MAIL.2'] } }))
  assert.deepEqual(
    log.lines.map(({ message, fields }) => ({ message, ...fields })),
    [
      {
        message: 'push accepted by Apple',
        decision: 'pushed',
        user: 'a***@example.org',
        token: '01234567…cdef',
        mail: 'MAIL.1,MAIL.2',
        mails: 3,
        apns_id: 'AN-ID',
        ms: 100,
      },
    ],
  )
  const { sums, apple } = observer.report(0, undefined)
  assert.deepEqual(sums.counters.xaps_pushes_total, { sent: 1 })
  assert.equal(sums.histograms.xaps_push_duration_seconds?.['']?.sum, 0.1)
  assert.equal(sums.histograms.xaps_delivery_to_apple_seconds?.['']?.sum, 0.1)
  assert.equal(apple.acceptedAt, 1_000_000)
})

test('a push for mails that waited decides nothing any more; one for changes alone measures no delivery', () => {
  const { observer, log } = setup()
  observer.pushed(pushed({ fresh: NO_MAILS, mailAt: Number.POSITIVE_INFINITY }))
  assert.equal(log.lines[0]?.fields.decision, undefined)
  const { sums, decided } = observer.report(0, undefined)
  assert.deepEqual(
    [sums.counters.xaps_decisions_total, sums.histograms.xaps_delivery_to_apple_seconds],
    [{}, {}],
  )
  assert.deepEqual(decided, [])
})

test('what Apple refuses is counted and has no line of an accepted push', () => {
  const { observer, log } = setup()
  observer.pushed(pushed({ verdict: 'gone', apnsId: undefined }))
  assert.deepEqual(log.lines, [])
  assert.deepEqual(observer.sums.counters.xaps_pushes_total, { gone: 1 })
})

test('trouble with Apple is told with its beginning, and no more when it is over', async () => {
  const { observer, clock } = setup()
  observer.apple('connection')
  observer.failed('no answer: connect ECONNREFUSED')
  await clock.advance(5_000)
  observer.apple('busy')
  assert.deepEqual(observer.report(3, 42).apple, {
    trouble: 'busy',
    troubleSince: 1_000_000,
    failedAt: 1_000_000,
    failure: 'no answer: connect ECONNREFUSED',
    certificateEnds: 42,
  })
  observer.apple(undefined)
  assert.equal(observer.report(0, undefined).apple.trouble, undefined)
})

test('the store is up or down by its last operation, since the first that went so', async () => {
  const { observer, clock } = setup()
  assert.deepEqual(observer.report(0, undefined).store, {})
  observer.storeOperation('lookup', 1)
  await clock.advance(1_000)
  observer.storeOperation('lookup', 500, 'Redis is away')
  await clock.advance(1_000)
  observer.storeOperation('claim', 500, 'Redis is away still')
  const { store, sums } = observer.report(0, undefined)
  assert.deepEqual(store, { up: false, since: 1_001_000, failure: 'Redis is away' })
  assert.deepEqual(Object.keys(sums.histograms.xaps_store_operation_seconds ?? {}), ['lookup', 'claim'])
})

test('the last decisions of a bounded number of users are told', () => {
  const { observer } = setup()
  for (let number = 0; number < 2 * MOST_DECIDED; number += 1)
    observer.decided('no_device', { user: `user${number}`, mails: mailsOf(undefined) })
  const { decided, sums } = observer.report(0, undefined)
  assert.equal(decided.length, MOST_DECIDED)
  assert.deepEqual(sums.counters.xaps_decisions_total, { no_device: 2 * MOST_DECIDED })
})
