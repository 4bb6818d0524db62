import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseIni } from '../../plugins/xaps/config/ini.ts'

function valuesOf(text: string): Record<string, string> {
  return Object.fromEntries(parseIni(text).map(({ section, key, value }) => [`${section}.${key}`, value]))
}

test('values stay text, so that ids of digits keep their leading zeros', () => {
  assert.deepEqual(valuesOf('[apns]\nkey_id = 0012345678\n'), { 'apns.key_id': '0012345678' })
})

test('what follows a value on its line belongs to it, as in all of Haraka', () => {
  assert.deepEqual(valuesOf('a = b ; c # d\nq = "x"'), { 'main.a': 'b ; c # d', 'main.q': '"x"' })
})

test('comments, blank lines and Windows line ends are skipped', () => {
  assert.deepEqual(valuesOf('; one\r\n\r\n  # two\r\n[s]\r\nkey=1\r\n'), { 's.key': '1' })
})

test('a backslash at the end of a line continues it', () => {
  assert.deepEqual(valuesOf('[s]\nlist = a, \\\nb\n'), { 's.list': 'a, b' })
})

test('a key without a value is empty, a value may hold an equals sign', () => {
  assert.deepEqual(valuesOf('key\nuri = a=b'), { 'main.key': '', 'main.uri': 'a=b' })
})

test('each entry knows its line', () => {
  assert.deepEqual(
    parseIni('\n[s]\na = 1\n;\nb = 2').map(({ key, line }) => [key, line]),
    [
      ['a', 3],
      ['b', 5],
    ],
  )
})

test('a line that is no entry is refused with its number', () => {
  assert.throws(() => parseIni('[s]\n= nothing'), /line 2: expected "key = value"/)
})
