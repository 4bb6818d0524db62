/** A signing key as Apple gives it to a developer (AuthKey_….p8), and the provider tokens signed with it. */

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

/** What Apple keeps of a key: enough to verify its tokens. */
export interface TrustedKey {
  readonly keyId: string
  readonly teamId: string
  readonly publicKey: KeyObject
  /** The topics of the team; without it every topic is allowed. */
  readonly topics?: readonly string[]
  /** The only environment that the key is for; without it both. */
  readonly environment?: 'production' | 'sandbox'
}

/** What the developer downloads: PKCS#8 in PEM, P-256. */
export interface ProviderKey extends TrustedKey {
  readonly p8: string
}

export interface ProviderKeyOptions {
  /** Default: ABC123DEFG, as in Apple's documentation. */
  readonly keyId?: string
  /** Default: DEF123GHIJ. */
  readonly teamId?: string
  readonly topics?: readonly string[]
  readonly environment?: TrustedKey['environment']
  /** An existing .p8 file's text instead of a new key. */
  readonly p8?: string
}

/** Makes a key, or takes the one in `p8`. */
export function providerKey(options: ProviderKeyOptions = {}): ProviderKey {
  const { keyId = 'ABC123DEFG', teamId = 'DEF123GHIJ', p8 = newP8(), topics, environment } = options
  const publicKey = createPublicKey(createPrivateKey(p8))
  return { keyId, teamId, p8, publicKey, ...(topics && { topics }), ...(environment && { environment }) }
}

function newP8(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** Overrides for what a token says, to make one that is wrong in one way. */
export interface TokenClaims {
  readonly alg?: string
  readonly kid?: string
  readonly iss?: string
  /** Seconds since the epoch; null leaves it out. */
  readonly iat?: number | null
}

/** A provider token: a JWT signed with ES256, issued now unless `claims` say otherwise. */
export function providerToken(key: ProviderKey, claims: TokenClaims = {}): string {
  const { alg = 'ES256', kid = key.keyId, iss = key.teamId, iat = Math.floor(Date.now() / 1000) } = claims
  const body = `${encoded({ alg, kid })}.${encoded(iat === null ? { iss } : { iss, iat })}`
  const signature = sign('sha256', Buffer.from(body), { key: key.p8, dsaEncoding: 'ieee-p1363' })
  return `${body}.${signature.toString('base64url')}`
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
