/**
 * The operator's credentials for Apple, read from disk and checked before anything is sent: certificate and key,
 * PKCS#12, or a provider-token key (.p8). Knows no connection and no clock of its own.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { reasonOf } from '../base/log.ts'
import { type Config, configFile, keyInFile } from '../config/config.ts'
import { readCertificate, readPkcs12 } from './certificate.ts'

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const PRIVATE_KEY = 'PRIVATE KEY-----'

/** The keys of [apns] that say where the credentials are. */
export type CredentialSettings = Pick<
  Config['apns'],
  | 'certificate'
  | 'key'
  | 'pkcs12'
  | 'passphrase'
  | 'tokenKey'
  | 'keyId'
  | 'teamId'
  | 'topic'
  | 'environment'
  | 'ca'
>

/** All that is needed to push, in memory; plain data, so that it can be handed to a process that may not read the files. */
export interface Credentials {
  readonly auth:
    | { readonly kind: 'certificate'; readonly cert: string; readonly key: string }
    | { readonly kind: 'token'; readonly key: string; readonly keyId: string; readonly teamId: string }
  /** The topic that phones are told at registration. Never empty. */
  readonly topic: string
  /** All topics that these credentials may push to as far as is known; `topic` is one of them. */
  readonly topics: readonly string[]
  /** When the certificate ends, milliseconds since the epoch; a .p8 key has no end. */
  readonly notAfter?: number
  /** PEM certificates to trust instead of the runtime's roots; undefined for Apple itself. */
  readonly ca?: string
}

/** Credentials that are missing or of no use. `message` is one line that names xaps.ini, key, file and what was expected. */
export class CredentialsError extends Error {
  override name = 'CredentialsError'
}

/** Every file that the settings name, as absolute paths: those to watch for a renewal. */
export function credentialFiles(settings: CredentialSettings, harakaDir: string): string[] {
  const { certificate, key, pkcs12, tokenKey, ca } = settings
  return [certificate, key, pkcs12, tokenKey, ca]
    .filter(name => name !== '')
    .map(name => path.resolve(harakaDir, name))
}

/** Reads the credentials. Relative paths start at `harakaDir`. Throws CredentialsError. */
export function loadCredentials(settings: CredentialSettings, harakaDir: string): Credentials {
  try {
    return load(settings, harakaDir)
  } catch (error) {
    if (!(error instanceof CredentialsError)) throw error
    throw new CredentialsError(`${configFile(harakaDir)}: ${error.message}`)
  }
}

function load(settings: CredentialSettings, harakaDir: string): Credentials {
  const read = (name: FileKey): Buffer => readFile(name, settings, harakaDir)
  const source = onlySource(settings)
  const ca = settings.ca === '' ? {} : { ca: certificatesIn(read('ca'), settings, 'ca').map(String).join('') }
  if (source === 'tokenKey') return { ...tokenCredentials(settings, read('tokenKey')), ...ca }
  const pair = source === 'pkcs12' ? openPkcs12(settings, read('pkcs12')) : openPem(settings, read)
  return { ...certificateCredentials(pair, settings, source), ...ca }
}

type FileKey = 'certificate' | 'key' | 'pkcs12' | 'tokenKey' | 'ca'

/** What is wrong with the file that the key `name` of [apns] names. */
function unusable(settings: CredentialSettings, name: FileKey, problem: string): CredentialsError {
  return new CredentialsError(`[apns] ${keyInFile('apns', name)} = ${settings[name]}: ${problem}`)
}

function onlySource(settings: CredentialSettings): 'certificate' | 'pkcs12' | 'tokenKey' {
  const named = (['certificate', 'pkcs12', 'tokenKey'] as const).filter(name => settings[name] !== '')
  const [first, second] = named
  if (first === undefined) {
    throw new CredentialsError(
      '[apns] names no credentials: set certificate and key, or pkcs12, or token_key with key_id, team_id and topic',
    )
  }
  const surplus = second ?? (first !== 'certificate' && settings.key !== '' ? 'key' : undefined)
  if (surplus === undefined) return first
  throw new CredentialsError(
    `[apns] names both ${keyInFile('apns', first)} and ${keyInFile('apns', surplus)}: keep one of them`,
  )
}

function readFile(name: FileKey, settings: CredentialSettings, harakaDir: string): Buffer {
  try {
    return readFileSync(path.resolve(harakaDir, settings[name]))
  } catch (error) {
    throw unusable(settings, name, `cannot be read: ${reasonOf(error)}`)
  }
}

function tokenCredentials(settings: CredentialSettings, pem: Buffer): Credentials {
  const missing = (['keyId', 'teamId', 'topic'] as const)
    .filter(name => settings[name] === '')
    .map(name => keyInFile('apns', name))
  if (missing.length > 0) throw new CredentialsError(`[apns] token_key needs ${missing.join(', ')} as well`)
  const key = privateKey(pem, settings, 'tokenKey')
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw unusable(settings, 'tokenKey', "expected Apple's .p8 file, an EC key on P-256")
  }
  const { keyId, teamId, topic } = settings
  return { auth: { kind: 'token', key: toPem(key), keyId, teamId }, topic, topics: [topic] }
}

interface Pair {
  readonly chain: readonly X509Certificate[]
  readonly key: KeyObject
}

function openPkcs12(settings: CredentialSettings, der: Buffer): Pair {
  try {
    const { certificates, key } = readPkcs12(der, settings.passphrase)
    return { chain: certificates.map(pem => new X509Certificate(pem)), key: createPrivateKey(key) }
  } catch (error) {
    throw unusable(settings, 'pkcs12', reasonOf(error))
  }
}

/** The key may stand in the certificate's file, as in the PEM bundles that openssl writes. */
function openPem(settings: CredentialSettings, read: (name: FileKey) => Buffer): Pair {
  const pem = read('certificate')
  const chain = certificatesIn(pem, settings, 'certificate')
  if (settings.key !== '') return { chain, key: privateKey(read('key'), settings, 'key') }
  if (pem.includes(PRIVATE_KEY)) return { chain, key: privateKey(pem, settings, 'certificate') }
  throw unusable(settings, 'certificate', 'no key in this file: set key')
}

/** All certificates in a PEM file; whatever openssl writes between them is skipped. */
function certificatesIn(pem: Buffer, settings: CredentialSettings, name: FileKey): X509Certificate[] {
  const blocks = pem.toString('utf8').match(CERTIFICATES) ?? []
  if (blocks.length === 0) throw unusable(settings, name, 'expected a PEM certificate')
  try {
    return blocks.map(block => new X509Certificate(block))
  } catch (error) {
    throw unusable(settings, name, `a damaged certificate: ${reasonOf(error)}`)
  }
}

function privateKey(pem: Buffer, settings: CredentialSettings, name: FileKey): KeyObject {
  if (!pem.includes(PRIVATE_KEY)) throw unusable(settings, name, 'expected a PEM private key')
  try {
    return createPrivateKey({ key: pem, passphrase: settings.passphrase })
  } catch (error) {
    const problem = `no usable private key: ${reasonOf(error)}${hint(pem, settings.passphrase)}`
    throw unusable(settings, name, problem)
  }
}

function hint(pem: Buffer, passphrase: string): string {
  if (!pem.includes('ENCRYPTED')) return ''
  return passphrase === '' ? ' (it is encrypted: set passphrase)' : ' (is passphrase right?)'
}

function certificateCredentials(
  { chain, key }: Pair,
  settings: CredentialSettings,
  source: 'certificate' | 'pkcs12',
): Credentials {
  const leaf = chain.find(certificate => certificate.checkPrivateKey(key))
  if (!leaf) throw unusable(settings, source, 'certificate and key do not belong together')
  const { environments, topics, notAfter } = readCertificate(leaf)
  if (environments.length > 0 && !environments.includes(settings.environment)) {
    const problem = `the certificate is for ${environments.join(' and ')}, but environment = ${settings.environment}`
    throw unusable(settings, source, problem)
  }
  const topic = settings.topic || topics[0]
  if (!topic) {
    const problem = 'no topic in the certificate (subject UID); is it a push certificate?'
    throw unusable(settings, source, problem)
  }
  const rest = chain.filter(certificate => certificate !== leaf)
  return {
    auth: { kind: 'certificate', cert: [leaf, ...rest].map(String).join(''), key: toPem(key) },
    topic,
    topics: [...new Set([topic, ...topics])],
    notAfter,
  }
}

function toPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}
