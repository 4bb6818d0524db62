import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { readSmtpIni } from '../../plugins/xaps/config/smtp-ini.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

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
