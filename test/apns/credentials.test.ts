/** Credentials in every form that operators have them in, and one broken fixture per way of being broken. */

import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import test, { after } from 'node:test'
import {
  type Credentials,
  CredentialsError,
  credentialFiles,
  loadCredentials,
} from '../../plugins/xaps/apns/credentials.ts'
import { type Config, loadConfig } from '../../plugins/xaps/config/config.ts'
import {
  authority,
  encryptedKey,
  MAIL_TOPIC,
  type Pair,
  pushCertificate,
} from '../fake/apple/certificates.ts'
import { pkcs12 } from '../fake/apple/pkcs12.ts'
import { providerKey } from '../fake/apple/provider-key.ts'
import { tempDirectory } from '../support/temp.ts'

type Settings = Config['apns']

const OTHER_TOPIC = 'com.apple.mobilemail.push.org.example'
const directory = tempDirectory()
after(() => directory.remove())

/** Without xaps.ini no credentials are named. */
const NONE = loadConfig(directory.path).apns

const pair = pushCertificate()
const other = pushCertificate()
const p8 = providerKey().p8
const TOKEN = { tokenKey: 'key.p8', keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ', topic: OTHER_TOPIC }

const FILES: Record<string, string | Buffer> = {
  'cert.pem': pair.certificate,
  'key.pem': pair.key,
  'both.pem': pair.certificate + pair.key,
  'chain.pem': authority().certificate + pair.certificate,
  'with-text.pem': `Bag Attributes\n    friendlyName: Mail\nsubject=UID = x\n${pair.certificate}\n\nKey Attributes: <No Attributes>\n`,
  'crlf.pem': pair.certificate.replaceAll('\n', '\r\n'),
  'locked-key.pem': encryptedKey(pair, 'secret'),
  'other-key.pem': other.key,
  'sandbox.pem': both(pushCertificate({ production: false })),
  'production.pem': both(pushCertificate({ sandbox: false })),
  'topics.pem': both(pushCertificate({ topics: [MAIL_TOPIC, `${MAIL_TOPIC}.voip`] })),
  'no-topic.pem': both(withoutTopic()),
  'ended.pem': both(pushCertificate({ notBefore: new Date(2020, 0), notAfter: new Date(2021, 0) })),
  'openssl.p12': pkcs12(pair, 'secret', 'openssl'),
  'keychain.p12': pkcs12(pair, 'secret', 'keychain'),
  'no-passphrase.p12': pkcs12(pair, '', 'openssl'),
  'key.p8': p8,
  'rsa.p8': pair.key,
  'p384.p8': ecKey('P-384'),
  'garbage.pem': 'nothing of use\n',
  'broken-cert.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  'ca.pem': authority().certificate,
}

for (const [name, content] of Object.entries(FILES)) writeFileSync(path.join(directory.path, name), content)

function both({ certificate, key }: Pair): string {
  return certificate + key
}

/** The authority's own certificate: it names no topic. */
function withoutTopic(): Pair {
  return authority()
}

function ecKey(namedCurve: string): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

function load(settings: Partial<Settings>): Credentials {
  return loadCredentials({ ...NONE, ...settings }, directory.path)
}

/** Whether certificate and key in `credentials` are those of `pair`, ready to be used without a passphrase. */
function assertPair({ auth }: Credentials): void {
  assert.ok(auth.kind === 'certificate')
  assert.equal(new X509Certificate(auth.cert).fingerprint, new X509Certificate(pair.certificate).fingerprint)
  assert.ok(new X509Certificate(auth.cert).checkPrivateKey(createPrivateKey(auth.key)))
}

const RIGHT: Record<string, Partial<Settings>> = {
  'certificate and key': { certificate: 'cert.pem', key: 'key.pem' },
  'both in one file': { certificate: 'both.pem' },
  'a chain with the leaf at its end': { certificate: 'chain.pem', key: 'key.pem' },
  'what openssl writes around a certificate': { certificate: 'with-text.pem', key: 'key.pem' },
  'line ends of Windows': { certificate: 'crlf.pem', key: 'key.pem' },
  'an encrypted key': { certificate: 'cert.pem', key: 'locked-key.pem', passphrase: 'secret' },
  'a passphrase that is not needed': { certificate: 'cert.pem', key: 'key.pem', passphrase: 'secret' },
  'PKCS#12 of openssl': { pkcs12: 'openssl.p12', passphrase: 'secret' },
  'PKCS#12 of the macOS keychain': { pkcs12: 'keychain.p12', passphrase: 'secret' },
  'PKCS#12 without a passphrase': { pkcs12: 'no-passphrase.p12' },
  'an absolute path': { certificate: path.join(directory.path, 'both.pem') },
}

for (const [form, settings] of Object.entries(RIGHT)) {
  test(`reads ${form}`, () => {
    const credentials = load(settings)
    assertPair(credentials)
    assert.equal(credentials.topic, MAIL_TOPIC)
    assert.deepEqual(credentials.topics, [MAIL_TOPIC])
    assert.equal(credentials.notAfter, Date.parse(new X509Certificate(pair.certificate).validTo))
  })
}

test('the leaf comes first in a chain that is sent', () => {
  const { auth } = load({ certificate: 'chain.pem', key: 'key.pem' })
  assert.ok(auth.kind === 'certificate')
  assert.equal(auth.cert.match(/BEGIN CERTIFICATE/g)?.length, 2)
  assert.ok(auth.cert.startsWith(new X509Certificate(pair.certificate).toString()))
})

test('reads a .p8 key', () => {
  const credentials = load(TOKEN)
  assert.deepEqual(credentials, {
    auth: { kind: 'token', key: p8, keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ' },
    topic: OTHER_TOPIC,
    topics: [OTHER_TOPIC],
  })
})

test('a certificate may have several topics: the first is told to phones, all may be pushed', () => {
  const { topic, topics } = load({ certificate: 'topics.pem' })
  assert.equal(topic, MAIL_TOPIC)
  assert.deepEqual(topics, [MAIL_TOPIC, `${MAIL_TOPIC}.voip`])
})

test('the topic of the configuration goes before those of the certificate', () => {
  const { topic, topics } = load({ certificate: 'both.pem', topic: OTHER_TOPIC })
  assert.equal(topic, OTHER_TOPIC)
  assert.deepEqual(topics, [OTHER_TOPIC, MAIL_TOPIC])
})

test('a certificate for one environment is taken for that one', () => {
  assert.equal(load({ certificate: 'production.pem' }).topic, MAIL_TOPIC)
  assert.equal(load({ certificate: 'sandbox.pem', environment: 'sandbox' }).topic, MAIL_TOPIC)
})

test('a certificate that has ended is read: its end is told later, and stops no door', () => {
  assert.ok((load({ certificate: 'ended.pem' }).notAfter ?? 0) < Date.now())
})

test('other roots are read', () => {
  const { ca = '' } = load({ ...TOKEN, ca: 'ca.pem' })
  assert.equal(new X509Certificate(ca).fingerprint, new X509Certificate(authority().certificate).fingerprint)
})

test('the files to watch are those that are named', () => {
  assert.deepEqual(credentialFiles({ ...NONE, certificate: 'cert.pem', key: '/etc/key.pem' }, '/haraka'), [
    '/haraka/cert.pem',
    '/etc/key.pem',
  ])
})

/** `message`: with the key that is at fault, and without the file that it names. */
const WRONG: Record<string, readonly [settings: Partial<Settings>, message: RegExp]> = {
  'no credentials': [{}, /names no credentials: set certificate and key, or pkcs12, or token_key/],
  'a key without its certificate': [{ key: 'key.pem' }, /names no credentials: set certificate and key/],
  'two kinds': [{ certificate: 'cert.pem', pkcs12: 'openssl.p12' }, /both certificate and pkcs12: keep one/],
  'all kinds': [{ certificate: 'cert.pem', ...TOKEN }, /both certificate and token_key/],
  'no such certificate': [{ certificate: 'none.pem' }, /^certificate: cannot be read: ENOENT/],
  'no such key': [{ certificate: 'cert.pem', key: 'none.pem' }, /^key: cannot be read: ENOENT/],
  'a directory': [{ certificate: '.' }, /^certificate: cannot be read: EISDIR/],
  'no PEM': [{ certificate: 'garbage.pem' }, /^certificate: expected a PEM certificate/],
  'DER instead of PEM': [{ certificate: 'openssl.p12' }, /^certificate: expected a PEM certificate/],
  'a damaged certificate': [{ certificate: 'broken-cert.pem', key: 'key.pem' }, /^certificate: /],
  'no key in the file': [{ certificate: 'cert.pem' }, /^certificate: no key in this file: set key/],
  'a key that is none': [{ certificate: 'cert.pem', key: 'garbage.pem' }, /^key: expected a PEM private key/],
  'a key that needs a passphrase': [
    { certificate: 'cert.pem', key: 'locked-key.pem' },
    /^key: .*encrypted: set passphrase\)$/,
  ],
  'a wrong passphrase': [
    { certificate: 'cert.pem', key: 'locked-key.pem', passphrase: 'wrong' },
    /^key: .*is passphrase right\?\)$/,
  ],
  'a key of another certificate': [
    { certificate: 'cert.pem', key: 'other-key.pem' },
    /^certificate: certificate and key do not belong together/,
  ],
  'a certificate without a topic': [
    { certificate: 'no-topic.pem' },
    /^certificate: no topic in the certificate/,
  ],
  'the wrong environment': [
    { certificate: 'sandbox.pem' },
    /^certificate: the certificate is for sandbox, but environment = production/,
  ],
  'no such PKCS#12': [{ pkcs12: 'none.p12' }, /^pkcs12: cannot be read: ENOENT/],
  'no PKCS#12': [{ pkcs12: 'garbage.pem' }, /^pkcs12: expected a PKCS#12 file/],
  'PKCS#12 with a wrong passphrase': [
    { pkcs12: 'openssl.p12', passphrase: 'wrong' },
    /^pkcs12: cannot be opened, is passphrase right\?/,
  ],
  'PKCS#12 of the keychain with a wrong passphrase': [
    { pkcs12: 'keychain.p12', passphrase: 'wrong' },
    /^pkcs12: cannot be opened, is passphrase right\?/,
  ],
  'PKCS#12 without its passphrase': [
    { pkcs12: 'openssl.p12' },
    /^pkcs12: cannot be opened, is passphrase right\?/,
  ],
  'PKCS#12 with a key for a certificate in a file of its own': [
    { pkcs12: 'openssl.p12', passphrase: 'secret', key: 'key.pem' },
    /both pkcs12 and key/,
  ],
  'no such .p8': [{ ...TOKEN, tokenKey: 'none.p8' }, /^token_key: cannot be read: ENOENT/],
  'a .p8 that is none': [{ ...TOKEN, tokenKey: 'garbage.pem' }, /^token_key: expected a PEM private key/],
  'an RSA key as .p8': [{ ...TOKEN, tokenKey: 'rsa.p8' }, /^token_key: expected Apple's \.p8 file/],
  'a key on another curve as .p8': [{ ...TOKEN, tokenKey: 'p384.p8' }, /^token_key: expected Apple's/],
  'a .p8 without the rest': [{ tokenKey: 'key.p8' }, /token_key needs key_id, team_id, topic as well/],
  'a .p8 without its topic': [{ ...TOKEN, topic: '' }, /token_key needs topic as well/],
  'no such ca': [{ ...TOKEN, ca: 'none.pem' }, /^ca: cannot be read: ENOENT/],
  'a ca that is none': [{ ...TOKEN, ca: 'garbage.pem' }, /^ca: expected a PEM certificate/],
  'a damaged ca': [{ ...TOKEN, ca: 'broken-cert.pem' }, /^ca: /],
}

for (const [mistake, [settings, message]] of Object.entries(WRONG)) {
  test(`${mistake}: one line says so`, () => {
    assert.throws(
      () => load(settings),
      (error: Error) => {
        assert.ok(error instanceof CredentialsError, String(error.stack))
        const where = `${directory.path}/config/xaps.ini: [apns] `
        assert.ok(error.message.startsWith(where), error.message)
        const text = error.message.slice(where.length).replace(/^(\w+) = (\S+): /, (_, key, file) => {
          const name = key.replace(/_(\w)/g, (_: string, first: string) => first.toUpperCase())
          assert.equal(file, { ...NONE, ...settings }[name as keyof Settings])
          return `${key}: `
        })
        assert.match(text, message)
        assert.ok(!error.message.includes('\n'))
        assert.ok(!error.message.includes('secret'), 'no passphrase is shown')
        return true
      },
    )
  })
}
