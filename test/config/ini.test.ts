import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { parseIni, readSmtpIni } from '../../plugins/xaps/config/ini.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

/** What is read of a text: `section.key` and value of each entry. */
const READ: readonly (readonly [why: string, text: string, values: Record<string, string>])[] = [
  [
    'ids of digits keep their leading zeros',
    '[apns]\nkey_id = 0012345678\n',
    { 'apns.key_id': '0012345678' },
  ],
  [
    'a comment ends no value, as in all of Haraka',
    'a = b ; c # d\nq = "x"',
    { 'main.a': 'b ; c # d', 'main.q': '"x"' },
  ],
  [
    'comments, blank lines and Windows line ends are skipped',
    '; a\r\n\r\n  # b\r\n[s]\r\nkey=1\r\n',
    { 's.key': '1' },
  ],
  ['a backslash at the end of a line continues it', '[s]\nlist = a, \\\nb\n', { 's.list': 'a, b' }],
  ['a key may stand alone, a value may hold =', 'key\nuri = a=b', { 'main.key': '', 'main.uri': 'a=b' }],
]

for (const [why, text, values] of READ) {
  test(why, () => {
    const read = parseIni(text).map(({ section, key, value }) => [`${section}.${key}`, value])
    assert.deepEqual(Object.fromEntries(read), values)
  })
}

test('each entry knows its line', () => {
  const lines = parseIni('\n[s]\na = 1\n;\nb = 2').map(({ key, line }) => `${key} ${line}`)
  assert.deepEqual(lines, ['a 3', 'b 5'])
})

test('a line that is no entry is refused with its number', () => {
  assert.throws(() => parseIni('[s]\n= nothing'), /line 2: expected "key = value"/)
})

function harakaWith(t: TestContext, smtpIni?: string): string {
  const temp = owned(t, tempDirectory())
  mkdirSync(path.join(temp.path, 'config'))
  if (smtpIni !== undefined) writeFileSync(path.join(temp.path, 'config', 'smtp.ini'), smtpIni)
  return temp.path
}

test('without smtp.ini Haraka is a cluster of one worker that stays what it is', t => {
  assert.deepEqual(readSmtpIni(harakaWith(t)), { uid: undefined, gid: undefined, singleProcess: false })
})

test('user, group and nodes are read; other sections do not count', t => {
  const dir = harakaWith(t, 'nodes=0\nuser=65534\ngroup=8\n[headers]\nuser=1\n')
  assert.deepEqual(readSmtpIni(dir), { uid: 65534, gid: 8, singleProcess: true })
})

test('a user that does not exist, or a line that is none, names the file', t => {
  for (const text of ['user=no-such-user\n', '=\n']) {
    const dir = harakaWith(t, text)
    assert.throws(() => readSmtpIni(dir), { name: 'ConfigError', message: /config\/smtp\.ini: / })
  }
})
