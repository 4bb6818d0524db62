/** What `xaps status` shows of good and bad days, at a real terminal. */

import assert from 'node:assert/strict'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { wrapped } from '../../plugins/xaps/cli/paragraph.ts'
import { widthOf } from '../../plugins/xaps/cli/table.ts'
import { days, span } from '../../plugins/xaps/cli/times.ts'
import { ALL_DAYS, type Day, overviewOf } from '../observe/overviews.ts'
import { missingTerminal, onTerminal } from '../support/terminal.ts'

const AT = Date.UTC(2030, 4, 14, 14, 32, 5)
const skip = missingTerminal()

async function shown(t: TestContext, day: Day, env: Record<string, string> = { NO_COLOR: '1' }) {
  const program = path.join(__dirname, 'show-status.js')
  return (await onTerminal(t, [process.execPath, program, day, String(AT)], { env })).stdout
}

test('a usual day: the health, a row for each process, what was counted', { skip }, async t => {
  assert.equal(
    await shown(t, 'usual'),
    `${overviewOf('usual', AT).health.sentence}

PROCESS    PID   UP   PENDING  APPLE    STORE    ACCEPTED
worker1    3417  9 d  0        accepts  answers  40 s ago
worker2    3418  9 d  0        accepts  answers  40 s ago
companion  3419  9 d  0        accepts  answers  40 s ago

Since each process started:
Pushes         sent 12,041, gone 2, later push 1
Mails          pushed 12,041, covered 2,204, waits_window 1,977, no_device 310
Registrations  saved 2,480, refused 1

Devices        1,840 of 1,288 users, counted 20 min ago
               seen within a day 1,529, two days 202, a week 73, longer ago 36
Certificate    212 days, until 2030-12-12
Spool          empty
Version        0.1.0, configuration v1a2b3c4d
Socket         /run/dovecot/xapsd.sock
`,
  )
})

test('every day fits into 80 columns', { skip }, async t => {
  for (const day of ALL_DAYS) {
    const wide = (await shown(t, day)).split('\n').filter(line => widthOf(line) > 80)
    assert.deepEqual(wide, [], day)
  }
})

test('a bad day: since when, what to do, and each failure in full', { skip }, async t => {
  const text = await shown(t, 'certificate ended')
  assert.ok(
    text.startsWith(
      `The certificate for Apple has ended
since 2030-05-11T14:32:05.000Z, for 3 d
what to do: renew it; the files are read again by themselves
            (docs/credentials.md)\n`,
    ),
    text,
  )
  assert.match(text, /^worker1 .* refuses us {2}no answer {2}3 d ago {3}20 s ago$/m)
  assert.match(text, /^Last error +Apple: certificate expired\nLast error +store: Redis mail\S+ is away$/m)
  assert.match(text, /^ {15}3 on another topic/m)
  assert.match(text, /^Certificate +has ended, on 2030-05-11\nSpool +7 registrations for the device store$/m)
  const away = await shown(t, 'Apple away')
  assert.match(away, /^Apple cannot be reached; pushes wait: connect ETIMEDOUT \S+\n/)
  assert.doesNotMatch(away, /^Last error {5}/m, 'the sentence has it')
})

test('the health has the colour of its state', { skip }, async t => {
  const begins = async (day: Day) => (await shown(t, day, {})).slice(0, 5)
  assert.deepEqual(
    [await begins('usual'), await begins('Apple away'), await begins('nothing yet')],
    ['\x1b[32m', '\x1b[31m', '\x1b[32m'],
  )
})

test('sentences are wrapped between words, and a longer word stays whole', () => {
  assert.deepEqual(wrapped('a bb ccc', 4), ['a bb', 'ccc'])
  assert.deepEqual(wrapped('a bb ccc', 3), ['a', 'bb', 'ccc'])
  assert.deepEqual(wrapped('a abcdef b', 3), ['a', 'abcdef', 'b'])
  assert.deepEqual(wrapped('a bb ccc', Number.POSITIVE_INFINITY), ['a bb ccc'])
})

test('a length of time is told in its largest unit, an end in days', () => {
  const told = [-1, 999, 59_999, 60_000, 7_200_000, 9 * 86_400_000].map(span)
  assert.deepEqual(told, ['0 s', '0 s', '59 s', '1 min', '2 h', '9 d'])
  const ends = [0, 86_400_000, 3 * 86_400_000].map(ms => days(AT + ms, AT))
  assert.deepEqual(ends, ['has ended, on 2030-05-14', '1 day, until 2030-05-15', '3 days, until 2030-05-17'])
})
