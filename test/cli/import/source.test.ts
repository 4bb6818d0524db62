import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BadFile, MAX_DEVICE_BYTES } from '../../../plugins/xaps/cli/import/format.ts'
import { openSource } from '../../../plugins/xaps/cli/import/source.ts'
import {
  exampleLine,
  exportOf,
  goDatabase,
  PYTHON_DATABASE,
  read,
  TOKEN_A,
  TOKEN_B,
  TOKEN_C,
} from './files.ts'

const PYTHON = 'database of the Python daemon'
const GO = 'database of a Go daemon'
const OWN = 'xaps export'

test("reads the Python daemon's database, null for a mailbox meaning none", async () => {
  const { name, entries } = await read(PYTHON_DATABASE)
  assert.equal(name, PYTHON)
  assert.deepEqual(entries, [
    {
      user: 'alice',
      account: 'ACCOUNT-1',
      token: TOKEN_A.toUpperCase(),
      mailboxes: ['Inbox', 'Entw&APw-rfe'],
    },
    { user: 'alice', account: 'ACCOUNT-1', token: TOKEN_B, mailboxes: [] },
    { user: 'bob', account: 'ACCOUNT-2', token: TOKEN_C, mailboxes: [] },
  ])
})

test("reads the Go daemons' database, with and without the time of registration", async () => {
  const { name, entries } = await read(goDatabase('2026-01-02T03:04:05.678901234+01:00'))
  assert.equal(name, GO)
  assert.deepEqual(entries, [
    {
      user: 'alice',
      account: 'ACCOUNT-1',
      token: TOKEN_A,
      mailboxes: ['Inbox'],
      lastSeen: '2026-01-02T03:04:05.678901234+01:00',
    },
    { user: 'bob', account: 'ACCOUNT-2', token: TOKEN_B, mailboxes: null, lastSeen: undefined },
    { user: 'bob', account: 'ACCOUNT-3', token: TOKEN_C, mailboxes: ['Inbox', 'Ham'], lastSeen: undefined },
  ])
})

test('reads our own export, also with a blank line, CRLF, no line end at its end and a byte order mark', async () => {
  for (const text of [
    exportOf({}, { user: 'bob' }),
    `\ufeff${exportOf({})}\n${exportOf({ user: 'bob' })}`,
    exportOf({}, { user: 'bob' }).replaceAll('\n', '\r\n'),
    exportOf({}, { user: 'bob' }).trimEnd(),
  ]) {
    assert.deepEqual(await read(text), { name: OWN, entries: [exampleLine, { ...exampleLine, user: 'bob' }] })
  }
})

test('reads the same whatever the pieces it comes in', async () => {
  for (const text of [PYTHON_DATABASE, goDatabase('2026-01-02T03:04:05Z'), exportOf({ user: 'bü😀b' }, {})]) {
    const whole = await read(text)
    for (const size of [1, 2, 7, 100]) assert.deepEqual(await read(text, size), whole)
  }
})

test('a line ends at LF only, not at the line ends of Unicode that a mailbox name may hold', async () => {
  const mailboxes = ['INBOX', 'a\u2028b\u2029c\u0085d']
  assert.deepEqual((await read(exportOf({ mailboxes }))).entries, [{ ...exampleLine, mailboxes }])
})

test('an empty store has an export, an empty daemon a database', async () => {
  assert.deepEqual(await read(''), { name: OWN, entries: [] })
  assert.deepEqual(await read('\n'), { name: OWN, entries: [] })
  assert.deepEqual(await read('{}\n'), { name: PYTHON, entries: [] })
  assert.deepEqual(await read('{\n  "Users": {}\n}'), { name: GO, entries: [] })
})

test('members in another order, and databases without blanks, are read too', async () => {
  const sorted = Object.fromEntries(Object.entries(exampleLine).sort())
  assert.deepEqual((await read(`${JSON.stringify(sorted)}\n`)).entries, [exampleLine])
  const compact = JSON.stringify(JSON.parse(goDatabase('2026-01-02T03:04:05Z')))
  assert.deepEqual(await read(compact), await read(goDatabase('2026-01-02T03:04:05Z')))
})

test('a user of a Go daemon may be called "accounts", one of the Python daemon "Users"', async () => {
  const go = `{"Users": {"accounts": {"Accounts": {"A": {"DeviceToken": "${TOKEN_A}", "Mailboxes": []}}}}}`
  assert.equal((await read(go)).name, GO)
  const python = `{"Users": {"accounts": {"A": {"devices": {"${TOKEN_A}": {"mailboxes": []}}}}}}`
  assert.equal((await read(python)).name, PYTHON)
  assert.equal((await read(python)).entries[0]?.user, 'Users')
})

test('__proto__ and constructor are names like any other, and change nothing else', async () => {
  const hostile =
    '{"__proto__": {"DeviceToken": "x", "mailboxes": ["x"], "polluted": 1}, "constructor": null}'
  const python = `{"__proto__": {"accounts": {"constructor": {"devices": {"__proto__": ${hostile}}}}}}`
  const go = `{"Users": {"__proto__": {"Accounts": {"__proto__": ${hostile}}}}}`
  const own = '{"account": "a", "user": "__proto__", "token": "t", "__proto__": {"topic": "x"}}'
  const none = { token: '__proto__', account: 'constructor', user: '__proto__', mailboxes: undefined }
  assert.deepEqual((await read(python)).entries, [none])
  const [fromGo] = (await read(go)).entries
  assert.deepEqual([fromGo?.user, fromGo?.account, fromGo?.token], ['__proto__', '__proto__', undefined])
  assert.equal((await read(own)).entries[0]?.topic, undefined)
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
})

test('members that no daemon writes are passed over', async () => {
  const text = `{"Users": {"alice": {"Accounts": {"A": {"DeviceToken": "${TOKEN_A}", "More": {"x": [1, {}]}}},
    "Note": {"A": {"DeviceToken": "${TOKEN_B}"}}}}, "Version": [2, {"Users": {}}]}`
  assert.deepEqual(
    (await read(text)).entries.map(({ token }) => token),
    [TOKEN_A],
  )
})

const NEITHER = [
  'hello',
  '[]',
  '42',
  '"text"',
  '{"foo": {"bar": {}}}',
  '{"foo": "bar"}\n{"foo": "bar"}\n',
  '{"Users": {"alice": {"accounts',
  `[${exportOf({})}]`,
  Buffer.from([0x1f, 0x8b, 8, 0, 0, 0]),
]

test('what is no such file is named so, whatever else it is', async () => {
  for (const text of NEITHER) {
    await assert.rejects(
      read(text),
      { name: 'BadFile', message: /^neither a database .* nor an export/ },
      String(text),
    )
  }
})

test('a database cut off anywhere is an error, after its devices before the cut', async () => {
  const whole = goDatabase('2026-01-02T03:04:05Z')
  for (let end = 60; end < whole.length; end += 13) await assert.rejects(read(whole.slice(0, end)), BadFile)
})

const DAMAGED: ReadonlyArray<readonly [text: string, message: RegExp]> = [
  [`${exportOf({})}{"user": "al`, /^line 2 is not valid JSON$/],
  [`${exportOf({})}\n\nsecret\n`, /^line 4 is not valid JSON$/],
  ['{"Users": {"alice": {"Accounts": {"A": secret}}}}', /^not valid JSON after byte \d+$/],
  ['{"alice": {"accounts": {}}, "b": {]', /^not valid JSON after byte \d+$/],
  ['{"alice": {"accounts": {}}} {"bob": {"accounts": {}}}', /^not valid JSON after byte \d+$/],
  ['{"alice": {"accounts": {', /^it ends in the middle/],
]

test('damage is named by its place, and nothing of the file is quoted', async () => {
  for (const [text, message] of DAMAGED) await assert.rejects(read(text), { name: 'BadFile', message }, text)
})

test('what would fill the memory is refused: deep nesting, endless lines, devices without end', async () => {
  const deep = `{"Users": {"a": {"Accounts": {"A": ${'['.repeat(100_000)}`
  await assert.rejects(read(deep), { name: 'BadFile', message: /^nested deeper than 16 levels/ })
  const long = exportOf({ user: 'x'.repeat(MAX_DEVICE_BYTES + 100_000) })
  await assert.rejects(read(exportOf({}) + long), { name: 'BadFile', message: /^a line is longer/ })
  const endless = `{"Users": {"a": {"Accounts": {"A": {"DeviceToken": "${'0'.repeat(MAX_DEVICE_BYTES)}`
  await assert.rejects(read(endless), { name: 'BadFile', message: /^no device within/ })
})

test('a deeply nested line is an entry like any other', async () => {
  const nested = `{"user": "a", "account": "a", "token": ${'['.repeat(50_000)}${']'.repeat(50_000)}}`
  assert.equal((await read(`${exportOf({})}${nested}\n`)).entries.length, 2)
})

test('what reading fails with is passed on', async () => {
  async function* failing(): AsyncGenerator<Buffer> {
    yield Buffer.from(exportOf({}))
    throw new Error('the disk is gone')
  }
  await assert.rejects(openSource(failing()), /the disk is gone/)
})
