/**
 * PKCS#12 files in the two forms that people have: as the macOS keychain exports them (RC2 with 40 bits around the
 * certificate, 3DES around the key, SHA-1) and as `openssl pkcs12 -export` of today makes them (AES-256, SHA-256).
 * node-forge reads both but writes neither.
 */

import { randomBytes } from 'node:crypto'
import forge from 'node-forge'
import {
  type Asn1,
  der,
  explicit,
  implicitOctets,
  integer,
  itemsOf,
  nothing,
  octets,
  oid,
  sequence,
} from './asn1.ts'
import type { Pair } from './certificates.ts'

export type Pkcs12Form = 'keychain' | 'openssl'

const ITERATIONS = 2048
const RC2_40 = '1.2.840.113549.1.12.1.6'
const { oids } = forge.pki

/** A certificate and its key in one file, locked with `passphrase`. */
export function pkcs12(pair: Pair, passphrase: string, form: Pkcs12Form = 'openssl'): Buffer {
  const certificates = encryptedContent(sequence(certificateBag(pair.certificate)), passphrase, form)
  const keys = plainContent(sequence(keyBag(pair.key, passphrase, form)))
  const safe = sequence(certificates, keys)
  const file = sequence(integer(3), plainContent(safe), mac(der(safe), passphrase, form))
  return Buffer.from(der(file), 'latin1')
}

function certificateBag(pem: string): Asn1 {
  const certificate = forge.pki.certificateToAsn1(forge.pki.certificateFromPem(pem))
  const bag = sequence(oid(oids.x509Certificate as string), explicit(0, octets(der(certificate))))
  return sequence(oid(oids.certBag as string), explicit(0, bag))
}

function keyBag(pem: string, passphrase: string, form: Pkcs12Form): Asn1 {
  const key = forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(forge.pki.privateKeyFromPem(pem)))
  const locked = form === 'keychain' ? encrypt3des(key, passphrase) : encryptAes(key, passphrase)
  return sequence(oid(oids.pkcs8ShroudedKeyBag as string), explicit(0, locked))
}

function plainContent(safe: Asn1): Asn1 {
  return sequence(oid(oids.data as string), explicit(0, octets(der(safe))))
}

function encryptedContent(safe: Asn1, passphrase: string, form: Pkcs12Form): Asn1 {
  const [algorithm, bytes] = itemsOf(
    form === 'keychain' ? encryptRc2(safe, passphrase) : encryptAes(safe, passphrase),
  ) as [Asn1, Asn1]
  const content = sequence(oid(oids.data as string), algorithm, implicitOctets(0, String(bytes.value)))
  return sequence(oid(oids.encryptedData as string), explicit(0, sequence(integer(0), content)))
}

// Each of these returns SEQUENCE { algorithm, OCTET STRING }, the form of an encrypted PKCS#8 key.

function encryptAes(item: Asn1, passphrase: string): Asn1 {
  const options = { algorithm: 'aes256', prfAlgorithm: 'sha256', count: ITERATIONS } as const
  return forge.pki.encryptPrivateKeyInfo(item, passphrase, options)
}

function encrypt3des(item: Asn1, passphrase: string): Asn1 {
  return forge.pki.encryptPrivateKeyInfo(item, passphrase, { algorithm: '3des', count: ITERATIONS })
}

function encryptRc2(item: Asn1, passphrase: string): Asn1 {
  const salt = randomBytes(8).toString('latin1')
  const cipher = forge.rc2.createEncryptionCipher(derived(passphrase, salt, 1, 5), 40)
  cipher.start(derived(passphrase, salt, 2, 8))
  cipher.update(forge.util.createBuffer(der(item)))
  cipher.finish()
  const algorithm = sequence(oid(RC2_40), sequence(octets(salt), integer(ITERATIONS)))
  return sequence(algorithm, octets(cipher.output.getBytes()))
}

/** RFC 7292, appendix B.2: `bytes` for a key (1), an initial vector (2) or a MAC key (3). */
function derived(
  passphrase: string,
  salt: string,
  purpose: 1 | 2 | 3,
  bytes: number,
  md?: forge.md.MessageDigest,
) {
  return forge.pkcs12.generateKey(passphrase, forge.util.createBuffer(salt), purpose, ITERATIONS, bytes, md)
}

function mac(safe: string, passphrase: string, form: Pkcs12Form): Asn1 {
  const digest = form === 'keychain' ? forge.md.sha1 : forge.md.sha256
  const digestOid = (form === 'keychain' ? oids.sha1 : oids.sha256) as string
  const salt = randomBytes(8).toString('latin1')
  const hmac = forge.hmac.create()
  hmac.start(digest.create(), derived(passphrase, salt, 3, form === 'keychain' ? 20 : 32, digest.create()))
  hmac.update(safe)
  const info = sequence(sequence(oid(digestOid), nothing()), octets(hmac.getMac().getBytes()))
  return sequence(info, octets(salt), integer(ITERATIONS))
}
