/** Credentials of each kind in a real Haraka, and a key that others can read. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { MAIL_TOPIC, pushCertificate } from '../fake/apple/certificates.ts'
import { pkcs12 } from '../fake/apple/pkcs12.ts'
import { providerKey } from '../fake/apple/provider-key.ts'
import { startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { serve } from './run.ts'
import { makeDirectory, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')

/** Ids of digits alone, with zeros in front: Haraka's own reader of ini files would make numbers of them. */
const KEY = providerKey({ keyId: '0012345678', teamId: '0987654321', topics: [MAIL_TOPIC] })

/** The kind of file → its bytes and the keys of xaps.ini beside its name. */
const KINDS = {
  pkcs12: { bytes: pkcs12(pushCertificate(), 'geheim', 'keychain'), keys: { passphrase: 'geheim' } },
  token_key: { bytes: KEY.p8, keys: { key_id: KEY.keyId, team_id: KEY.teamId, topic: MAIL_TOPIC } },
} as const

for (const [kind, { bytes, keys }] of Object.entries(KINDS)) {
  test(`a mail is pushed with ${kind}`, async t => {
    const apple = owned(t, await startApple({ providerKeys: [KEY] }))
    const file = path.join(owned(t, tempDirectory()).path, 'credentials')
    writeFileSync(file, bytes)
    const apns = { certificate: '', key: '', [kind]: file, ...keys }
    const site = await startSite(t, { apple, xaps: { apns } })
    await site.register(ALICE)
    await site.mail(ALICE.user)
    const [push] = await site.pushed(1)
    assert.deepEqual([push?.token, push?.headers['apns-topic']], [ALICE.token, MAIL_TOPIC])
  })
}

test('a key that every user can read is named at the start, once, and by check, until it is mended', async t => {
  const site = await startSite(t, { nodes: 2, keyMode: 0o644 })
  await site.waitForLog(/companion ready/)
  const warnings = site.lines(/holds a secret/)
  assert.equal(warnings.length, 1, warnings.join('\n'))
  assert.match(warnings[0] ?? '', /\[WARN\].*push\.key .*every user of this machine: chmod o= /)

  const before = await site.xaps('check')
  const [, mending = ''] = /^warn +.*push\.key .*: (chmod .*)$/m.exec(before.stdout) ?? []
  assert.deepEqual([before.status, mending], [0, `chmod o= ${path.join(site.keys, 'push.key')}`])
  execFileSync('sh', ['-c', mending])
  assert.doesNotMatch((await site.xaps('check')).stdout, /^warn/m)
})

test('xaps serve names a key that others can read, too', async t => {
  const { dir } = await makeDirectory(t, { keyMode: 0o604 })
  const said = owned(t, await serve(dir)).output()
  assert.equal(said.match(/<4>.*push\.key holds a secret/g)?.length, 1, said)
})
