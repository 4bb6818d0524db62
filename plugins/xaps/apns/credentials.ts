/**
 * The operator's credentials for Apple, read from disk and checked before anything is sent: certificate and key,
 * PKCS#12, or a provider-token key (.p8). Knows no connection and no clock of its own.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { reasonOf } from '../base/log.ts'
import { type Config, configFile, keyInFile } from '../config/config.ts'
import { type KeyAndChain, readCertificate, readPkcs12 } from './certificate.ts'

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const PRIVATE_KEY = 'PRIVATE KEY-----'

type CredentialSettings = Config['apns']

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
  return new Reader(settings, harakaDir).read()
}

type FileKey = 'certificate' | 'key' | 'pkcs12' | 'tokenKey' | 'ca'

/** The topics in the certificate itself, whatever [apns] topic says; empty for a .p8 key, which names none. */
export function certificateTopics({ auth }: Credentials): readonly string[] {
  return auth.kind === 'certificate' ? readCertificate(new X509Certificate(auth.cert)).topics : []
}

class Reader {
  readonly #settings: CredentialSettings
  readonly #harakaDir: string

  constructor(settings: CredentialSettings, harakaDir: string) {
    this.#settings = settings
    this.#harakaDir = harakaDir
  }

  read(): Credentials {
    const source = this.#onlySource()
    const ca = this.#settings.ca === '' ? {} : { ca: this.#parse('ca', pem => toText(certificatesIn(pem))) }
    if (source === 'tokenKey') return { ...this.#token(), ...ca }
    const read = (content: Buffer): Credentials =>
      this.#certificate(
        source === 'pkcs12' ? readPkcs12(content, this.#settings.passphrase) : this.#openPem(content),
      )
    return { ...this.#parse(source, read), ...ca }
  }

  #error(problem: string): CredentialsError {
    return new CredentialsError(`${configFile(this.#harakaDir)}: [apns] ${problem}`)
  }

  /** Parses the file that the key `name` of [apns] names. Whatever `parse` throws is the fault of that file. */
  #parse<T>(name: FileKey, parse: (content: Buffer) => T): T {
    const file = this.#settings[name]
    try {
      return parse(contentOf(path.resolve(this.#harakaDir, file)))
    } catch (error) {
      if (error instanceof CredentialsError) throw error
      throw this.#error(`${keyInFile('apns', name)} = ${file}: ${reasonOf(error)}`)
    }
  }

  #onlySource(): 'certificate' | 'pkcs12' | 'tokenKey' {
    const named = (['certificate', 'pkcs12', 'tokenKey'] as const).filter(name => this.#settings[name] !== '')
    const [first, second] = named
    if (first === undefined) {
      throw this.#error(
        'names no credentials: set certificate and key, or pkcs12, or token_key with key_id, team_id and topic',
      )
    }
    const surplus = second ?? (first !== 'certificate' && this.#settings.key !== '' ? 'key' : undefined)
    if (surplus === undefined) return first
    throw this.#error(
      `names both ${keyInFile('apns', first)} and ${keyInFile('apns', surplus)}: keep one of them`,
    )
  }

  #token(): Credentials {
    const { keyId, teamId, topic, passphrase } = this.#settings
    const missing = (['keyId', 'teamId', 'topic'] as const)
      .filter(name => this.#settings[name] === '')
      .map(name => keyInFile('apns', name))
    if (missing.length > 0) throw this.#error(`token_key needs ${missing.join(', ')} as well`)
    const key = this.#parse('tokenKey', pem => {
      const found = privateKey(pem, passphrase)
      if (found.asymmetricKeyDetails?.namedCurve === 'prime256v1') return toPem(found)
      throw new Error("expected Apple's .p8 file, an EC key on P-256")
    })
    return { auth: { kind: 'token', key, keyId, teamId }, topic, topics: [topic] }
  }

  /** The key may stand in the certificate's file, as in the PEM bundles that openssl writes. */
  #openPem(pem: Buffer): KeyAndChain {
    const { key, passphrase } = this.#settings
    const chain = certificatesIn(pem)
    if (key !== '') return { chain, key: this.#parse('key', other => privateKey(other, passphrase)) }
    if (pem.includes(PRIVATE_KEY)) return { chain, key: privateKey(pem, passphrase) }
    throw new Error('no key in this file: set key')
  }

  #certificate({ chain, key }: KeyAndChain): Credentials {
    const leaf = chain.find(certificate => certificate.checkPrivateKey(key))
    if (!leaf) throw new Error('certificate and key do not belong together')
    const { environments, topics, notAfter } = readCertificate(leaf)
    const { environment } = this.#settings
    if (environments.length > 0 && !environments.includes(environment)) {
      throw new Error(
        `the certificate is for ${environments.join(' and ')}, but environment = ${environment}`,
      )
    }
    const topic = this.#settings.topic || topics[0]
    if (!topic) throw new Error('no topic in the certificate (subject UID); is it a push certificate?')
    const rest = chain.filter(certificate => certificate !== leaf)
    return {
      auth: { kind: 'certificate', cert: toText([leaf, ...rest]), key: toPem(key) },
      topic,
      topics: [...new Set([topic, ...topics])],
      notAfter,
    }
  }
}

function contentOf(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new Error('cannot be read', { cause: error })
  }
}

/** All certificates in a PEM file; whatever openssl writes between them is skipped. */
function certificatesIn(pem: Buffer): X509Certificate[] {
  const blocks = pem.toString('utf8').match(CERTIFICATES) ?? []
  if (blocks.length === 0) throw new Error('expected a PEM certificate')
  try {
    return blocks.map(block => new X509Certificate(block))
  } catch (error) {
    throw new Error('a damaged certificate', { cause: error })
  }
}

function privateKey(pem: Buffer, passphrase: string): KeyObject {
  if (!pem.includes(PRIVATE_KEY)) throw new Error('expected a PEM private key')
  try {
    return createPrivateKey({ key: pem, passphrase })
  } catch (error) {
    throw new Error(`no usable private key: ${reasonOf(error)}${hint(pem, passphrase)}`)
  }
}

function hint(pem: Buffer, passphrase: string): string {
  if (!pem.includes('ENCRYPTED')) return ''
  return passphrase === '' ? ' (it is encrypted: set passphrase)' : ' (is passphrase right?)'
}

function toText(chain: readonly X509Certificate[]): string {
  return chain.map(String).join('')
}

function toPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}
