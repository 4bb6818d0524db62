import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { primaryGroup } from '../../plugins/xaps/base/accounts.ts'
import { configFile, loadConfig } from '../../plugins/xaps/config/config.ts'
import { exposedSecrets } from '../../plugins/xaps/config/secrets.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

/** A group that no file of the test has. */
const OTHER_GROUP = 54321

/** A Haraka directory with these files of these modes, named in xaps.ini by `ini`. */
function site(t: TestContext, ini: string, files: Readonly<Record<string, number>>) {
  const temp = owned(t, tempDirectory())
  mkdirSync(path.join(temp.path, 'config'))
  const at = (name: string) => path.join(temp.path, name)
  const contents = { 'config/xaps.ini': ini, 'both.pem': 'x\n-----BEGIN PRIVATE KEY-----\n' }
  writeFileSync(configFile(temp.path), ini, { mode: 0o600 })
  for (const [name, mode] of Object.entries(files)) {
    writeFileSync(at(name), { ...contents }[name] ?? 'x')
    chmodSync(at(name), mode)
  }
  const exposed = (trusted: number[] = [OTHER_GROUP], groupOf: typeof primaryGroup = primaryGroup) =>
    exposedSecrets(loadConfig(temp.path), trusted, groupOf)
  return { at, exposed }
}

const PEM = '[apns]\ncertificate = cert.pem\nkey = push.key\n'

test('a key that every user can read is named, with what mends it', t => {
  const { at, exposed } = site(t, PEM, { 'cert.pem': 0o644, 'push.key': 0o644 })
  assert.deepEqual(exposed(), [
    `${at('push.key')} holds a secret and is open to every user of this machine: chmod o= ${at('push.key')}`,
  ])
  chmodSync(at('push.key'), statSync(at('push.key')).mode & ~0o007)
  assert.deepEqual(exposed(), [])
})

const SECRETS: readonly (readonly [what: string, ini: string, file: string])[] = [
  ['a key', PEM, 'push.key'],
  ['a certificate with its key', '[apns]\ncertificate = both.pem\n', 'both.pem'],
  ['a PKCS#12 file', '[apns]\npkcs12 = push.p12\n', 'push.p12'],
  ['a .p8 key', '[apns]\ntoken_key = a.p8\n', 'a.p8'],
  ['xaps.ini with a passphrase', '[apns]\nkey = push.key\npassphrase = secret\n', 'config/xaps.ini'],
  ['the key for Redis', '[store]\nkey = push.key\n', 'push.key'],
  ['the certificate for Redis with its key', '[store]\ncertificate = both.pem\n', 'both.pem'],
  [
    'xaps.ini with the password of sentinels',
    '[store]\nuri = redis+sentinel://s1/m?sentinel_password=secret\n',
    'config/xaps.ini',
  ],
  ['xaps.ini with the password of Redis', '[store]\nuri = redis://:secret@redis\n', 'config/xaps.ini'],
]

for (const [what, ini, file] of SECRETS) {
  test(`${what} is a secret`, t => {
    for (const mode of [0o604, 0o602, 0o666]) assert.equal(site(t, ini, { [file]: mode }).exposed().length, 1)
    for (const mode of [0o600, 0o400, 0o611]) assert.deepEqual(site(t, ini, { [file]: mode }).exposed(), [])
  })
}

test('a certificate, and an xaps.ini, without a secret may be read by everybody', t => {
  const ini = `[store]\nuri = redis://redis:6379\n${PEM}`
  const files = { 'config/xaps.ini': 0o644, 'cert.pem': 0o644, 'push.key': 0o600 }
  assert.deepEqual(site(t, ini, files).exposed(), [])
})

test('a group may read when it is Haraka’s or the owner’s own, and no other', t => {
  const { at, exposed } = site(t, PEM, { 'cert.pem': 0o644, 'push.key': 0o640 })
  const { gid, uid } = statSync(at('push.key'))
  const ofOwner = (asked: number) => (asked === uid ? gid : undefined)
  assert.deepEqual([exposed([gid], () => undefined), exposed([], ofOwner)], [[], []])
})

test('another group is named by its number', {
  skip: process.getuid?.() !== 0 && 'not run: only root can give files away',
}, t => {
  const { at, exposed } = site(t, PEM, { 'push.key': 0o640 })
  chownSync(at('push.key'), 0, OTHER_GROUP)
  assert.deepEqual(exposed([]), [
    `${at('push.key')} holds a secret and is open to the group with gid ${OTHER_GROUP}: chmod g= ${at('push.key')}`,
  ])
  chmodSync(at('push.key'), 0o644)
  assert.match(exposed([]).join('\n'), /chmod go= /)
  assert.match(exposed([OTHER_GROUP]).join('\n'), /chmod o= /)
})

test('a link counts as what it leads to, once, and what is not there does not count', t => {
  const { at, exposed } = site(t, '[apns]\ncertificate = link\nkey = link\n', { 'both.pem': 0o644 })
  assert.deepEqual(exposed(), [])
  symlinkSync(at('both.pem'), at('link'))
  assert.equal(exposed().length, 1)
})

test('the primary group of a user is the one in /etc/passwd', t => {
  const temp = owned(t, tempDirectory())
  const file = path.join(temp.path, 'passwd')
  writeFileSync(file, 'root:x:0:0:root:/root:/bin/sh\nhttp:x:33:100::/:/bin/false\n')
  assert.deepEqual(
    [33, 0, 7].map(uid => primaryGroup(uid, file)),
    [100, 0, undefined],
  )
})
