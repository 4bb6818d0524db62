import assert from 'node:assert/strict'
import test from 'node:test'
import type { Credentials } from '../../plugins/xaps/apns/credentials.ts'
import { announceExpiry, expiryWarning } from '../../plugins/xaps/apns/renewal.ts'
import { TOPIC } from '../push/parts.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'

const DAY_MS = 86_400_000

function credentials(notAfter?: number): Credentials {
  const auth = { kind: 'certificate', cert: '', key: '' } as const
  return { auth, topic: TOPIC, topics: [TOPIC], ...(notAfter === undefined ? {} : { notAfter }) }
}

const NOW = Date.UTC(2030, 0, 1)

for (const [days, warning] of [
  [undefined, undefined],
  [31, undefined],
  [30, 'the certificate for Apple ends on 2030-01-31, in 30 days'],
  [0.5, 'the certificate for Apple ends on 2030-01-01, in 1 day'],
  [0, 'the certificate for Apple ended on 2030-01-01: no push gets through until it is renewed'],
  [-9, 'the certificate for Apple ended on 2029-12-23: no push gets through until it is renewed'],
] as const) {
  test(`${days} days before the end of a certificate the warning is: ${warning}`, () => {
    assert.equal(expiryWarning(days === undefined ? undefined : NOW + days * DAY_MS, NOW), warning)
  })
}

/** How many days were left at each line. */
function daysLeft(log: RecordedLog): string[] {
  return log.lines.map(({ message }) => /in (\d+) day/.exec(message)?.[1] ?? 'none')
}

test('the end of a certificate is announced 30, 14, 7 and 1 days before, and when it has come', async () => {
  const clock = new FakeClock(NOW)
  const log = recordedLog()
  const announcing = announceExpiry(() => credentials(NOW + 40.5 * DAY_MS), log, clock)
  await clock.advance(60 * DAY_MS)
  assert.deepEqual(daysLeft(log), ['30', '14', '7', '1', 'none'])
  announcing.close()
  assert.equal(clock.timers, 0)
})

test('a certificate that is about to end is announced at the start, and a new one ends the announcements', async () => {
  const clock = new FakeClock(NOW)
  const log = recordedLog()
  let current = credentials(NOW + 3 * DAY_MS)
  announceExpiry(() => current, log, clock)
  await clock.advance(0)
  assert.deepEqual(daysLeft(log), ['3'])
  current = credentials(NOW + 368 * DAY_MS)
  await clock.advance(30 * DAY_MS)
  assert.deepEqual(daysLeft(log), ['3'])
})
