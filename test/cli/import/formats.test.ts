import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as files from './files.ts'

const { exampleLine, exportOf, goDatabase, PYTHON_DATABASE, read, TOKEN_A, TOKEN_B, TOKEN_C } = files

const PYTHON = 'database of the Python daemon'
const GO = 'database of a Go daemon'
const OWN = 'xaps export'

const alice = { user: 'alice', account: 'ACCOUNT-1', token: TOKEN_A }
const bob = { user: 'bob', account: 'ACCOUNT-2', token: TOKEN_C }

test("reads the Python daemon's database, null for a mailbox meaning none", () => {
  assert.deepEqual(read(PYTHON_DATABASE), {
    name: PYTHON,
    entries: [
      { ...alice, token: TOKEN_A.toUpperCase(), mailboxes: ['Inbox', 'Entw&APw-rfe'] },
      { ...alice, token: TOKEN_B, mailboxes: [] },
      { ...bob, mailboxes: [] },
    ],
  })
})

test("reads the Go daemons' database, with and without the time of registration", () => {
  const lastSeen = '2026-01-02T03:04:05.678901234+01:00'
  assert.deepEqual(read(goDatabase(lastSeen)), {
    name: GO,
    entries: [
      { ...alice, mailboxes: ['Inbox'], lastSeen },
      { ...bob, token: TOKEN_B, mailboxes: null, lastSeen: undefined },
      { ...bob, account: 'ACCOUNT-3', mailboxes: ['Inbox', 'Ham'], lastSeen: undefined },
    ],
  })
})

test('reads our own export, also with a blank line, CRLF, no line end at its end and a byte order mark', () => {
  for (const text of [
    exportOf({}, { user: 'bob' }),
    `\ufeff${exportOf({})}\n${exportOf({ user: 'bob' })}`,
    exportOf({}, { user: 'bob' }).replaceAll('\n', '\r\n'),
    exportOf({}, { user: 'bob' }).trimEnd(),
  ]) {
    assert.deepEqual(read(text), { name: OWN, entries: [exampleLine, { ...exampleLine, user: 'bob' }] })
  }
})

test('a line ends at LF only, not at the line ends of Unicode that a mailbox name may hold', () => {
  const mailboxes = ['INBOX', 'a\u2028b\u2029c\u0085d']
  assert.deepEqual(read(exportOf({ mailboxes })).entries, [{ ...exampleLine, mailboxes }])
})

test('an empty store has an export, an empty daemon a database', () => {
  assert.deepEqual(read(''), { name: OWN, entries: [] })
  assert.deepEqual(read('\n'), { name: OWN, entries: [] })
  assert.deepEqual(read('{}\n'), { name: PYTHON, entries: [] })
  assert.deepEqual(read('{\n  "Users": {}\n}'), { name: GO, entries: [] })
})

test('members in another order, and databases without blanks, are read too', () => {
  const sorted = Object.fromEntries(Object.entries(exampleLine).sort())
  assert.deepEqual(read(`${JSON.stringify(sorted)}\n`).entries, [exampleLine])
  const compact = JSON.stringify(JSON.parse(goDatabase('2026-01-02T03:04:05Z')))
  assert.deepEqual(read(compact), read(goDatabase('2026-01-02T03:04:05Z')))
})

test('a user of a Go daemon may be called "accounts", one of the Python daemon "Users"', () => {
  const go = `{"Users": {"accounts": {"Accounts": {"A": {"DeviceToken": "${TOKEN_A}", "Mailboxes": []}}}}}`
  assert.equal(read(go).name, GO)
  const python = `{"Users": {"accounts": {"A": {"devices": {"${TOKEN_A}": {"mailboxes": []}}}}}}`
  assert.equal(read(python).name, PYTHON)
  assert.equal(read(python).entries[0]?.user, 'Users')
})

test('__proto__ and constructor are names like any other, and change nothing else', () => {
  const hostile =
    '{"__proto__": {"DeviceToken": "x", "mailboxes": ["x"], "polluted": 1}, "constructor": null}'
  const python = `{"__proto__": {"accounts": {"constructor": {"devices": {"__proto__": ${hostile}}}}}}`
  const go = `{"Users": {"__proto__": {"Accounts": {"__proto__": ${hostile}}}}}`
  const own = '{"account": "a", "user": "__proto__", "token": "t", "__proto__": {"topic": "x"}}'
  const none = { token: '__proto__', account: 'constructor', user: '__proto__', mailboxes: undefined }
  assert.deepEqual(read(python).entries, [none])
  const [fromGo] = read(go).entries
  assert.deepEqual([fromGo?.user, fromGo?.account, fromGo?.token], ['__proto__', '__proto__', undefined])
  assert.equal(read(own).entries[0]?.topic, undefined)
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
})

test('members that no daemon writes are passed over', () => {
  const text = `{"Users": {"alice": {"Accounts": {"A": {"DeviceToken": "${TOKEN_A}", "More": {"x": [1, {}]}}},
    "Note": {"A": {"DeviceToken": "${TOKEN_B}"}}}}, "Version": [2, {"Users": {}}]}`
  assert.deepEqual(
    read(text).entries.map(({ token }) => token),
    [TOKEN_A],
  )
})

test('what is no such file is named so, whatever else it is', () => {
  for (const text of ['[]', '42', '"text"', '{"foo": {"bar": {}}}', `[${JSON.stringify(exampleLine)}]`]) {
    assert.throws(
      () => read(text),
      { name: 'BadFile', message: /^neither a database .* nor an export/ },
      text,
    )
  }
})

test('a database cut off anywhere is an error that says so', () => {
  const whole = goDatabase('2026-01-02T03:04:05Z')
  for (let end = 2; end < whole.length; end += 13)
    assert.throws(() => read(whole.slice(0, end)), { name: 'BadFile', message: /^not valid JSON/ })
})

const DAMAGED: ReadonlyArray<readonly [text: string | Buffer, message: RegExp]> = [
  [`${exportOf({})}{"user": "al`, /^line 2 is not valid JSON/],
  [`${exportOf({})}\n\nsecret\n`, /^line 4 is not valid JSON/],
  ['{"Users": {"alice": {"Accounts": {"A": secret}}}}', /^not valid JSON: it is damaged or cut off$/],
  ['{"alice": {"accounts": {}}} {"bob": {"accounts": {}}}', /^not valid JSON: it is damaged or cut off$/],
  ['{"alice": {"accounts": {', /^not valid JSON/],
  [`{"Users": {"a": {"Accounts": {"A": ${'['.repeat(100_000)}`, /^not valid JSON/],
  ['hello', /^not valid JSON: it is damaged or cut off$/],
  [Buffer.from([0x1f, 0x8b, 8, 0, 0, 0]), /^not valid JSON: it is damaged or cut off$/],
]

test('damage is named, and nothing of the file is quoted', () => {
  for (const [text, message] of DAMAGED)
    assert.throws(() => read(text), { name: 'BadFile', message }, String(text).slice(0, 80))
})

test('a deeply nested line is an entry like any other', () => {
  const nested = `{"user": "a", "account": "a", "token": ${'['.repeat(50_000)}${']'.repeat(50_000)}}`
  assert.equal(read(`${exportOf({})}${nested}\n`).entries.length, 2)
})
