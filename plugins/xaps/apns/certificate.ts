/** What Apple writes into a push certificate. Looks extensions up by their OID, never by their position. */

import type { X509Certificate } from 'node:crypto'
import type forgeTypes from 'node-forge'
import { forge } from './forge.ts'

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
  const extensions = extensionsOf(certificate.raw)
  const environments = [
    ...(extensions.has(PRODUCTION_OID) ? (['production'] as const) : []),
    ...(extensions.has(SANDBOX_OID) ? (['sandbox'] as const) : []),
  ]
  const uid = /^UID=(.+)$/m.exec(certificate.subject)?.[1]
  const listed = topicsIn(extensions.get(TOPICS_OID))
  const topics = [...new Set([...(uid === undefined ? [] : [uid]), ...listed])]
  return { topics, environments, notAfter: Date.parse(certificate.validTo) }
}

/** OID → content of every extension in a DER certificate (RFC 5280, 4.1): its innermost OCTET STRING. */
function extensionsOf(der: Buffer): Map<string, string> {
  const certificate = forge().asn1.fromDer(der.toString('latin1'))
  const fields = children(children(certificate)[0])
  const wrapper = fields.find(
    field => field.tagClass === forge().asn1.Class.CONTEXT_SPECIFIC && (field.type as number) === 3,
  )
  const found = new Map<string, string>()
  for (const extension of children(children(wrapper)[0])) {
    const parts = children(extension)
    const oid = parts[0]?.value
    const content = parts.at(-1)?.value
    if (typeof oid === 'string' && typeof content === 'string') found.set(forge().asn1.derToOid(oid), content)
  }
  return found
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

function children(node: forgeTypes.asn1.Asn1 | undefined): forgeTypes.asn1.Asn1[] {
  return Array.isArray(node?.value) ? node.value : []
}
