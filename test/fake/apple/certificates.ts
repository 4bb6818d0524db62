/**
 * Certificates made on the spot: an authority, the server's certificate and push certificates as Apple issues them.
 * Nothing here is trusted by anything outside the test that made it. Push certificates are read here, too: the topic
 * is the subject attribute UID, extensions say which environment and which further topics it is good for.
 */

import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import forge from 'node-forge'
import { der, itemsOf, nothing, parse, sequence, textOf, utf8 } from './asn1.ts'

const DAY_MS = 86_400_000

const UID = '0.9.2342.19200300.100.1.1'
const SANDBOX = '1.2.840.113635.100.6.3.1'
const PRODUCTION = '1.2.840.113635.100.6.3.2'
const TOPICS = '1.2.840.113635.100.6.3.6'

/** Documented by forge, missing from its types. */
const pki = forge.pki as typeof forge.pki & {
  getTBSCertificate(certificate: forge.pki.Certificate): forge.asn1.Asn1
}

/** A topic as macOS Server's mail certificates had it. */
export const MAIL_TOPIC = 'com.apple.mail.XServer.8f2c6c1e-3f0b-4a55-9c57-0d3c1a7e9b42'

/** A certificate and its private key, both PEM. */
export interface Pair {
  readonly certificate: string
  readonly key: string
}

/** The issuer of certificates; its own is the one to trust. */
export type Authority = Pair

export interface PushCertificateOptions {
  /** Subject attribute UID. Default: MAIL_TOPIC. */
  readonly topic?: string
  /** All topics of a certificate that has more than one. Default: `topic` alone, without the extension. */
  readonly topics?: readonly string[]
  /** Good for api.push.apple.com. Default: true. */
  readonly production?: boolean
  /** Good for api.sandbox.push.apple.com. Default: true. */
  readonly sandbox?: boolean
  /** Default: a day ago. */
  readonly notBefore?: Date
  /** Default: in a year. */
  readonly notAfter?: Date
  /** Default: the authority of this process. */
  readonly issuer?: Authority
}

let shared: Authority | undefined

/** The authority of this process, made when first asked for. */
export function authority(): Authority {
  shared ??= makeAuthority()
  return shared
}

/** A new authority, which is trusted nowhere yet. */
export function makeAuthority(): Authority {
  return issue({
    subject: [{ shortName: 'CN', value: `Apple stand-in authority ${randomBytes(4).toString('hex')}` }],
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      { name: 'subjectKeyIdentifier' },
    ],
  })
}

/** A certificate for the server that clients reach as `name` (host name or address), 127.0.0.1 or ::1. */
export function serverCertificate(issuer: Authority = authority(), name = 'localhost'): Pair {
  return issue({
    issuer,
    subject: [{ shortName: 'CN', value: name }],
    extensions: [
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [name, '127.0.0.1', '::1'].map(altName) },
    ],
  })
}

function altName(name: string): object {
  return isIP(name) ? { type: 7, ip: name } : { type: 2, value: name }
}

/** A certificate for pushes, as Apple's developer site issues it for a topic. */
export function pushCertificate(options: PushCertificateOptions = {}): Pair {
  const { topic = MAIL_TOPIC, topics = [topic], production = true, sandbox = true } = options
  return issue({
    issuer: options.issuer ?? authority(),
    subject: [
      { type: UID, value: topic },
      { shortName: 'CN', value: `Apple Push Services: ${topic}` },
      { shortName: 'C', value: 'US' },
    ],
    extensions: [
      { name: 'extKeyUsage', clientAuth: true },
      ...extensionsFor({ topics, production, sandbox }),
    ],
    notBefore: options.notBefore,
    notAfter: options.notAfter,
  })
}

/** The private key of a pair encrypted with a passphrase: PEM, PKCS#8, AES-256. */
export function encryptedKey({ key }: Pair, passphrase: string): string {
  const options = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase } as const
  return createPrivateKey(key).export(options).toString()
}

interface Wanted {
  readonly issuer?: Authority
  readonly subject: forge.pki.CertificateField[]
  readonly extensions: readonly object[]
  readonly notBefore?: Date | undefined
  readonly notAfter?: Date | undefined
}

/** Makes a key and a certificate for it, signed by `issuer` or by itself. */
function issue(wanted: Wanted): Pair {
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(
    keys.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  )
  certificate.serialNumber = `4${randomBytes(15).toString('hex')}`
  certificate.validity.notBefore = wanted.notBefore ?? new Date(Date.now() - DAY_MS)
  certificate.validity.notAfter = wanted.notAfter ?? new Date(Date.now() + 365 * DAY_MS)
  certificate.setSubject(wanted.subject)
  certificate.setIssuer(wanted.issuer ? subjectOf(wanted.issuer) : wanted.subject)
  certificate.setExtensions([...wanted.extensions])
  return { key, certificate: signed(certificate, wanted.issuer?.key ?? key) }
}

function subjectOf(pair: Pair): forge.pki.CertificateField[] {
  return forge.pki.certificateFromPem(pair.certificate).subject.attributes
}

/** Signs with OpenSSL: ten times as fast as forge's own RSA. Returns PEM. */
function signed(certificate: forge.pki.Certificate, key: string): string {
  const algorithm = forge.pki.oids.sha256WithRSAEncryption as string
  certificate.signatureOid = algorithm
  certificate.siginfo.algorithmOid = algorithm
  certificate.tbsCertificate = pki.getTBSCertificate(certificate)
  const body = Buffer.from(der(certificate.tbsCertificate), 'latin1')
  certificate.signature = sign('sha256', body, key).toString('latin1')
  return forge.pki.certificateToPem(certificate)
}

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
