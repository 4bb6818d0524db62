/**
 * The two formats of a push certificate that Node does not read: what Apple writes into its extensions, looked up by OID
 * and never by position, and the PKCS#12 files of macOS Keychain, whose ciphers (RC2, 3DES) Node's OpenSSL 3 refuses.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type forgeTypes from 'node-forge'

/** Loaded when it is first used: that takes a while, and a companion that starts again has none to lose. */
function forge(): typeof import('node-forge') {
  return require('node-forge')
}

export interface ApnsCertificate {
  /** The subject's UID first, then the further topics that the certificate lists. */
  readonly topics: readonly string[]
  /** Where the certificate may be used; empty when it does not say. */
  readonly environments: readonly ('production' | 'sandbox')[]
  /** Milliseconds since the epoch. */
  readonly notAfter: number
}

const PRODUCTION_OID = '1.2.840.113635.100.6.3.2'
const SANDBOX_OID = '1.2.840.113635.100.6.3.1'
const TOPICS_OID = '1.2.840.113635.100.6.3.6'

export function readCertificate(certificate: X509Certificate): ApnsCertificate {
  const extensions = new Map<string, string>()
  addExtensions(forge().asn1.fromDer(certificate.raw.toString('latin1')), extensions)
  const environments = [
    ...(extensions.has(PRODUCTION_OID) ? (['production'] as const) : []),
    ...(extensions.has(SANDBOX_OID) ? (['sandbox'] as const) : []),
  ]
  const uid = /^UID=(.+)$/m.exec(certificate.subject)?.[1]
  const listed = topicsIn(extensions.get(TOPICS_OID))
  const topics = [...new Set([...(uid === undefined ? [] : [uid]), ...listed])]
  return { topics, environments, notAfter: Date.parse(certificate.validTo) }
}

/** Adds every extension below `node` to `found`: the last part of a sequence that begins with its OID (RFC 5280, 4.1). */
function addExtensions(node: forgeTypes.asn1.Asn1, found: Map<string, string>): void {
  const { Type, derToOid } = forge().asn1
  const parts = Array.isArray(node.value) ? node.value : []
  const [name, content] = [parts[0], parts.at(-1)]
  if (name?.type === Type.OID && content?.type === Type.OCTETSTRING) {
    found.set(derToOid(name.value as string), content.value as string)
  }
  for (const part of parts) addExtensions(part, found)
}

/** Every string in the topics extension that looks like a topic: it lists each with the kinds of push it is for. */
function topicsIn(der: string | undefined): string[] {
  if (der === undefined) return []
  return stringsIn(forge().asn1.fromDer(der)).filter(text => text.includes('.'))
}

function stringsIn(node: forgeTypes.asn1.Asn1): string[] {
  if (Array.isArray(node.value)) return node.value.flatMap(stringsIn)
  return node.type === forge().asn1.Type.UTF8 ? [forge().util.decodeUtf8(node.value as string)] : []
}

/** A private key, and certificates of which one is its own. */
export interface KeyAndChain {
  readonly key: KeyObject
  readonly chain: readonly X509Certificate[]
}

/** Throws an Error that says whether passphrase or file is wrong. */
export function readPkcs12(der: Buffer, passphrase: string): KeyAndChain {
  const bags = open(der, passphrase).safeContents.flatMap(contents => contents.safeBags)
  const [key, second] = bags.flatMap(bag => (bag.key ? [bag.key] : []))
  if (!key) throw new Error('no private key in the file: export certificate and key together')
  if (second) throw new Error('more than one private key in the file')
  const certificates = bags.flatMap(bag => (bag.cert ? [forge().pki.certificateToPem(bag.cert)] : []))
  return {
    key: createPrivateKey(forge().pki.privateKeyToPem(key)),
    chain: certificates.map(pem => new X509Certificate(pem)),
  }
}

function open(der: Buffer, passphrase: string): forgeTypes.pkcs12.Pkcs12Pfx {
  let asn1: forgeTypes.asn1.Asn1
  try {
    asn1 = forge().asn1.fromDer(der.toString('latin1'))
  } catch (error) {
    throw new Error('expected a PKCS#12 file', { cause: error })
  }
  try {
    return forge().pkcs12.pkcs12FromAsn1(asn1, false, passphrase)
  } catch (error) {
    throw new Error('cannot be opened, is passphrase right?', { cause: error })
  }
}
