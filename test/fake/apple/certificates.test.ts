import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import test from 'node:test'
import tls from 'node:tls'
import forge from 'node-forge'
import {
  authority,
  encryptedKey,
  MAIL_TOPIC,
  makeAuthority,
  pushCertificate,
  serverCertificate,
} from './certificates.ts'
import { scopeOf } from './extensions.ts'
import { pkcs12 } from './pkcs12.ts'

const pair = pushCertificate()
const read = (pem: string) => new X509Certificate(pem)
const scope = (pem: string) => scopeOf(read(pem).raw)

test('a push certificate is signed by the authority of the process and belongs to its key', () => {
  const certificate = read(pair.certificate)
  assert.ok(certificate.verify(read(authority().certificate).publicKey))
  assert.ok(certificate.checkPrivateKey(createPrivateKey(pair.key)))
  assert.ok(!certificate.verify(read(makeAuthority().certificate).publicKey))
})

test('the topic is the subject attribute UID and both environments are extensions', () => {
  assert.match(read(pair.certificate).subject, new RegExp(`^UID=${MAIL_TOPIC}$`, 'm'))
  assert.deepEqual(scope(pair.certificate), { topics: [MAIL_TOPIC], production: true, sandbox: true })
})

test('a certificate can be for one environment, or for none', () => {
  const sandbox = pushCertificate({ production: false })
  assert.deepEqual(scope(sandbox.certificate), { topics: [MAIL_TOPIC], production: false, sandbox: true })
  const neither = pushCertificate({ production: false, sandbox: false })
  assert.deepEqual(scope(neither.certificate), { topics: [MAIL_TOPIC], production: false, sandbox: false })
})

test('several topics are listed in the extension, beside the one in the subject', () => {
  const topics = [MAIL_TOPIC, `${MAIL_TOPIC}.voip`, 'com.apple.mobilemail.push.org.example']
  const { certificate } = pushCertificate({ topics })
  assert.deepEqual(scope(certificate).topics, topics)
  assert.match(read(certificate).subject, new RegExp(`^UID=${MAIL_TOPIC}$`, 'm'))
})

test('the period of validity can be chosen', () => {
  const notAfter = new Date('2030-01-02T03:04:05Z')
  const { certificate } = pushCertificate({ notBefore: new Date('2029-01-01'), notAfter })
  assert.equal(new Date(read(certificate).validTo).getTime(), notAfter.getTime())
})

test('the server certificate is for its name and for both loopback addresses', () => {
  const certificate = read(serverCertificate(authority(), 'push.test').certificate)
  assert.ok(certificate.checkHost('push.test'))
  assert.ok(certificate.checkIP('127.0.0.1'))
  assert.ok(certificate.checkIP('::1'))
})

test('an encrypted key opens with its passphrase only', () => {
  const key = encryptedKey(pair, 'open sesame')
  assert.match(key, /BEGIN ENCRYPTED PRIVATE KEY/)
  assert.ok(createPrivateKey({ key, passphrase: 'open sesame' }).equals(createPrivateKey(pair.key)))
  assert.throws(() => createPrivateKey({ key, passphrase: 'wrong' }))
})

for (const form of ['openssl', 'keychain'] as const) {
  test(`a PKCS#12 file in the form of ${form} holds the certificate and the key`, () => {
    const asn1 = forge.asn1.fromDer(pkcs12(pair, 'secret', form).toString('latin1'))
    const { certBag, pkcs8ShroudedKeyBag } = forge.pki.oids as {
      certBag: string
      pkcs8ShroudedKeyBag: string
    }
    const file = forge.pkcs12.pkcs12FromAsn1(asn1, 'secret')
    const certificate = file.getBags({ bagType: certBag })[certBag]?.[0]?.cert
    const key = file.getBags({ bagType: pkcs8ShroudedKeyBag })[pkcs8ShroudedKeyBag]?.[0]?.key
    assert.ok(certificate && key)
    assert.equal(
      read(forge.pki.certificateToPem(certificate)).fingerprint256,
      read(pair.certificate).fingerprint256,
    )
    assert.ok(createPrivateKey(forge.pki.privateKeyToPem(key)).equals(createPrivateKey(pair.key)))
    assert.throws(() => forge.pkcs12.pkcs12FromAsn1(asn1, 'wrong'), /password/i)
  })
}

test('Node takes a PKCS#12 file of today as it is', () => {
  assert.ok(tls.createSecureContext({ pfx: pkcs12(pair, 'secret'), passphrase: 'secret' }))
})
