import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CheckRules, checkEntry } from '../../../plugins/xaps/cli/import/check.ts'
import type { Entry } from '../../../plugins/xaps/cli/import/formats.ts'
import { exampleLine, TOKEN_A, TOPIC } from './files.ts'

const DAY = 86_400_000
const NOW = Date.parse('2026-02-10T00:00:00Z')

const old: CheckRules = {
  lowercase: true,
  subtopics: ['com.apple.mobilemail'],
  now: NOW,
  expireAfterMs: 30 * DAY,
  topic: TOPIC,
  canonicalMailboxes: false,
}
const ours: CheckRules = { ...old, topic: '', canonicalMailboxes: true }

const oldEntry: Entry = {
  user: 'Alice',
  account: 'A',
  token: TOKEN_A.toUpperCase(),
  mailboxes: ['Inbox', 'Entw&APw-rfe'],
}

test('an entry of an old database becomes what its registration would have become', () => {
  assert.deepEqual(checkEntry(oldEntry, old), {
    user: 'alice',
    device: {
      account: 'A',
      token: TOKEN_A,
      mailboxes: ['INBOX', 'Entwürfe'],
      subtopic: 'com.apple.mobilemail',
      topic: TOPIC,
      registeredAt: NOW,
      lastSeen: NOW,
    },
    dated: false,
  })
})

test('a time in the file is kept, one of the future is now', () => {
  const dated = checkEntry({ ...oldEntry, lastSeen: '2026-02-03T05:05:06.789123456+01:00' }, old)
  assert.equal(dated.device.lastSeen, Date.parse('2026-02-03T04:05:06.789Z'))
  assert.equal(dated.device.registeredAt, dated.device.lastSeen)
  assert.equal(dated.dated, true)
  const future = checkEntry({ ...oldEntry, lastSeen: '2036-01-01T00:00:00Z' }, old)
  assert.equal(future.device.lastSeen, NOW)
})

test('our own export keeps topic, subtopic and both times', () => {
  const { user, registeredAt, lastSeen, ...rest } = exampleLine
  assert.deepEqual(checkEntry(exampleLine, ours), {
    user,
    device: { ...rest, registeredAt: Date.parse(registeredAt), lastSeen: Date.parse(lastSeen) },
    dated: true,
  })
})

test('our own mailbox names are not decoded once more', () => {
  const mailboxes = ['INBOX', '&APw-', 'Tom & Jerry', 'a\u2028b', '\ufffd']
  assert.deepEqual(checkEntry({ ...exampleLine, mailboxes }, ours).device.mailboxes, mailboxes)
})

test('no mailboxes mean INBOX, in every format', () => {
  for (const mailboxes of [[], null, undefined]) {
    assert.deepEqual(checkEntry({ ...oldEntry, mailboxes }, old).device.mailboxes, ['INBOX'])
    assert.deepEqual(checkEntry({ ...exampleLine, mailboxes }, ours).device.mailboxes, ['INBOX'])
  }
})

const many = Array.from({ length: 501 }, (_, index) => `Folder ${index}`)

const UNFIT: ReadonlyArray<readonly [change: Partial<Entry>, reason: RegExp]> = [
  [{ user: '' }, /^user name: empty/],
  [{ user: undefined }, /^user name: missing or not a text$/],
  [{ user: 'x'.repeat(256) }, /^user name: longer than 255 bytes$/],
  [{ user: 'a\u001b[2J' }, /^user name: no control characters/],
  [{ account: 7 }, /^account id: missing or not a text$/],
  [{ account: '' }, /^account id: empty/],
  [{ token: 'xyz' }, /^device token: expected an even number of hex digits/],
  [{ token: 'a1a1a1a1…a1a1' }, /^device token: expected/],
  [{ token: null }, /^device token: missing or not a text$/],
  [{ mailboxes: many }, /^mailboxes: more than 500$/],
  [{ mailboxes: 'INBOX' }, /^mailboxes: not a list of texts$/],
  [{ mailboxes: ['INBOX', 1] }, /^mailboxes: not a list of texts$/],
  [{ mailboxes: ['a\r\nb'] }, /^mailbox name: no CR, LF or NUL allowed$/],
  [{ mailboxes: ['x'.repeat(3001)] }, /^mailbox name: longer than \d+ bytes$/],
  [{ subtopic: 'com.example' }, /^subtopic: not one of those/],
  [{ topic: '' }, /^topic: expected/],
  [{ topic: 'a\r\nb' }, /^topic: expected/],
  [{ lastSeen: 'yesterday' }, /^time of the last registration: expected a time in RFC 3339$/],
  [{ lastSeen: 12 }, /^time of the last registration: expected/],
  [{ registeredAt: '2026-13-01T00:00:00Z' }, /^time of the first registration: expected/],
  [{ lastSeen: '2026-01-11T00:00:00Z' }, /^expired/],
]

test('what a request is refused for is refused, and what only a file can get wrong', () => {
  for (const [change, reason] of UNFIT) {
    for (const rules of [old, ours]) {
      assert.throws(() => checkEntry({ ...exampleLine, ...change }, rules), {
        name: 'BadRequest',
        message: reason,
      })
    }
  }
})
