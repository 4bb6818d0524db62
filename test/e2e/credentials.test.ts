import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { MAIL_TOPIC, pushCertificate } from '../fake/apple/certificates.ts'
import { pkcs12 } from '../fake/apple/pkcs12.ts'
import { providerKey } from '../fake/apple/provider-key.ts'
import { startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { mailTo, pushed, startSite } from './setup.ts'

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
    const temp = owned(t, tempDirectory())
    const file = path.join(temp.path, 'credentials')
    writeFileSync(file, bytes)
    const apns = { certificate: '', key: '', [kind]: file, ...keys }
    const site = await startSite(t, { apple, xaps: { apns } })
    assert.equal(await registerByLine(site.socket, ALICE), `OK ${MAIL_TOPIC}\r\n`)
    await mailTo(site, ALICE.user)
    const [push] = await pushed(apple, site, 1)
    assert.deepEqual([push?.token, push?.headers['apns-topic']], [ALICE.token, MAIL_TOPIC])
  })
}
