/**
 * What Apple writes into a push certificate: the topic as subject attribute UID, and extensions that say which
 * environment and which further topics it is good for. Both directions: for making certificates and for reading
 * the one that a client presents.
 */

import forge from 'node-forge'
import { der, itemsOf, nothing, parse, sequence, textOf, utf8 } from './asn1.ts'

export const UID = '0.9.2342.19200300.100.1.1'
export const SANDBOX = '1.2.840.113635.100.6.3.1'
export const PRODUCTION = '1.2.840.113635.100.6.3.2'
export const TOPICS = '1.2.840.113635.100.6.3.6'

/** What a push certificate is good for. */
export interface Scope {
  readonly topics: readonly string[]
  readonly production: boolean
  readonly sandbox: boolean
}

interface Extension {
  readonly id: string
  readonly value: string
}

/** The extensions of a certificate for `scope`, in no special order: readers must search by OID. */
export function extensionsFor(scope: Scope): Extension[] {
  const extensions: Extension[] = []
  if (scope.topics.length > 1) extensions.push({ id: TOPICS, value: der(topicList(scope.topics)) })
  if (scope.sandbox) extensions.push({ id: SANDBOX, value: der(nothing()) })
  if (scope.production) extensions.push({ id: PRODUCTION, value: der(nothing()) })
  return extensions
}

/** SEQUENCE { topic, SEQUENCE { kind }, topic, SEQUENCE { kind }, … }, the form of Apple's own certificates. */
function topicList(topics: readonly string[]) {
  return sequence(...topics.flatMap(topic => [utf8(topic), sequence(utf8(kindOf(topic)))]))
}

function kindOf(topic: string): string {
  return /\.(voip|complication)$/.exec(topic)?.[1] ?? 'app'
}

/** What the certificate in these DER bytes is good for. Throws when it is no RSA certificate. */
export function scopeOf(certificate: Buffer): Scope {
  const read = forge.pki.certificateFromAsn1(parse(certificate.toString('latin1')))
  const extensions = new Map((read.extensions as Extension[]).map(({ id, value }) => [id, value]))
  const listed = extensions.get(TOPICS)
  const subject: unknown = read.subject.attributes.find(attribute => attribute.type === UID)?.value
  return {
    topics: listed === undefined ? [String(subject ?? '')].filter(Boolean) : listedTopics(listed),
    production: extensions.has(PRODUCTION),
    sandbox: extensions.has(SANDBOX),
  }
}

function listedTopics(value: string): string[] {
  return itemsOf(parse(value)).flatMap(item => textOf(item) ?? [])
}
