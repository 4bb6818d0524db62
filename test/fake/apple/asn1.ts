/** Short names for the pieces of ASN.1 that certificates and PKCS#12 files are made of. */

import forge from 'node-forge'

const { asn1 } = forge
const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class
const { SEQUENCE, OID, OCTETSTRING, UTF8, INTEGER, NULL } = asn1.Type

export type Asn1 = forge.asn1.Asn1

export const sequence = (...items: Asn1[]): Asn1 => asn1.create(UNIVERSAL, SEQUENCE, true, items)

export const oid = (dotted: string): Asn1 =>
  asn1.create(UNIVERSAL, OID, false, asn1.oidToDer(dotted).getBytes())

export const octets = (bytes: string): Asn1 => asn1.create(UNIVERSAL, OCTETSTRING, false, bytes)

export const utf8 = (text: string): Asn1 => asn1.create(UNIVERSAL, UTF8, false, forge.util.encodeUtf8(text))

export const integer = (value: number): Asn1 =>
  asn1.create(UNIVERSAL, INTEGER, false, asn1.integerToDer(value).getBytes())

export const nothing = (): Asn1 => asn1.create(UNIVERSAL, NULL, false, '')

/** `[tag] EXPLICIT item` */
export const explicit = (tag: number, item: Asn1): Asn1 => asn1.create(CONTEXT_SPECIFIC, tag, true, [item])

/** `[tag] IMPLICIT OCTET STRING` */
export const implicitOctets = (tag: number, bytes: string): Asn1 =>
  asn1.create(CONTEXT_SPECIFIC, tag, false, bytes)

/** The DER bytes, as forge's binary string. */
export const der = (item: Asn1): string => asn1.toDer(item).getBytes()

/** Reads DER bytes. Throws when they are none. */
export const parse = (bytes: string): Asn1 => asn1.fromDer(bytes)

/** The items of a sequence, none for anything else. */
export const itemsOf = (item: Asn1): readonly Asn1[] => (Array.isArray(item.value) ? item.value : [])

/** The text of a UTF8String, undefined for anything else. */
export function textOf(item: Asn1): string | undefined {
  if (item.type !== UTF8 || typeof item.value !== 'string') return undefined
  return forge.util.decodeUtf8(item.value)
}
