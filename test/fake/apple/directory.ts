/**
 * The files that an operator's Haraka needs to talk to the stand-in: made when they are missing and kept over
 * restarts, so that a stand-in that comes back is the same Apple.
 */

import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Authority, makeAuthority, type Pair, pushCertificate, scopeOf } from './certificates.ts'
import { pkcs12 } from './pkcs12.ts'
import { type ProviderKey, providerKey } from './provider-key.ts'

export interface DirectoryOptions {
  readonly topic: string
  /** Locks push.p12. */
  readonly passphrase: string
}

/** What the files hold. */
export interface Credentials {
  readonly authority: Authority
  readonly certificate: Pair
  readonly providerKey: ProviderKey
  /** The topic of the certificate. */
  readonly topic: string
}

/**
 * Reads or makes ca.pem, ca-key.pem, certificate.pem, key.pem, push.p12 and AuthKey.p8 in `directory`. A certificate
 * that is there keeps its topic. Throws when the directory cannot be written.
 */
export function openDirectory(directory: string, { topic, passphrase }: DirectoryOptions): Credentials {
  mkdirSync(directory, { recursive: true })
  const file = (name: string) => path.join(directory, name)
  const authority = pairIn(file('ca.pem'), file('ca-key.pem'), makeAuthority)
  const certificate = pairIn(file('certificate.pem'), file('key.pem'), () =>
    pushCertificate({ topic, issuer: authority }),
  )
  write(file('push.p12'), pkcs12(certificate, passphrase))
  const p8 = file('AuthKey.p8')
  const key = providerKey(existsSync(p8) ? { p8: readFileSync(p8, 'utf8') } : {})
  write(p8, key.p8)
  return { authority, certificate, providerKey: key, topic: topicOf(certificate) ?? topic }
}

function topicOf({ certificate }: Pair): string | undefined {
  return scopeOf(new X509Certificate(certificate).raw).topics[0]
}

function pairIn(certificateFile: string, keyFile: string, make: () => Pair): Pair {
  if (existsSync(certificateFile) && existsSync(keyFile)) {
    return { certificate: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
  }
  const pair = make()
  write(certificateFile, pair.certificate)
  write(keyFile, pair.key)
  return pair
}

/** Readable by its owner alone, as keys should be. */
function write(file: string, content: string | Buffer): void {
  writeFileSync(file, content, { mode: 0o600 })
}
