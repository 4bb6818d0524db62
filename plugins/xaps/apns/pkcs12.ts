/**
 * A PKCS#12 file to PEM. Done with node-forge since Node's OpenSSL 3 refuses the old ciphers (RC2, 3DES) in which macOS
 * Keychain writes its exports.
 */

import type forgeTypes from 'node-forge'
import { forge } from './forge.ts'

export interface Pkcs12 {
  /** PEM, in the order of the file. */
  readonly certificates: readonly string[]
  /** PEM, without a passphrase. */
  readonly key: string
}

/** Throws an Error that says whether passphrase or file is wrong. */
export function readPkcs12(der: Buffer, passphrase: string): Pkcs12 {
  const bags = open(der, passphrase).safeContents.flatMap(contents => contents.safeBags)
  const keys = bags.flatMap(bag => (bag.key ? [bag.key] : []))
  const [key, second] = keys
  if (!key) throw new Error('no private key in the file: export certificate and key together')
  if (second) throw new Error('more than one private key in the file')
  const certificates = bags.flatMap(bag => (bag.cert ? [forge().pki.certificateToPem(bag.cert)] : []))
  return { certificates, key: forge().pki.privateKeyToPem(key) }
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
