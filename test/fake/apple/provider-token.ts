/**
 * Verifies provider tokens as Apple does ("Establishing a token-based connection to APNs"): ES256, a known key, its
 * team, not older than an hour, not renewed more often than every 20 minutes. A token's signature is verified once
 * and remembered. Knows nothing of HTTP.
 */

import { verify } from 'node:crypto'
import type { Clock } from '../../../plugins/xaps/base/clock.ts'
import type { TrustedKey } from './provider-key.ts'
import type { Reason } from './reasons.ts'

const OLDEST_S = 60 * 60
const SHORTEST_RENEWAL_S = 20 * 60
/** How far a provider's clock may be ahead of Apple's. */
const CLOCK_SKEW_S = 60
/** Tokens remembered, so that a client with a new token per push costs no memory. */
const REMEMBERED = 100

/** A token that was signed by `key` at `issuedAt` (seconds since the epoch). */
export interface ProviderToken {
  readonly text: string
  readonly key: TrustedKey
  readonly issuedAt: number
}

export class TokenVerifier {
  readonly #keys: ReadonlyMap<string, TrustedKey>
  readonly #clock: Clock
  readonly #seen = new Map<string, ProviderToken | undefined>()

  constructor(keys: readonly TrustedKey[], clock: Clock) {
    this.#keys = new Map(keys.map(key => [key.keyId, key]))
    this.#clock = clock
  }

  /** The token in an authorization header, or Apple's reason for refusing it. */
  check(authorization: string | undefined): ProviderToken | Reason {
    if (authorization === undefined) return 'MissingProviderToken'
    const token = this.#signed(authorization)
    const age = token ? Math.floor(this.#clock.now() / 1000) - token.issuedAt : 0
    if (!token || age < -CLOCK_SKEW_S) return 'InvalidProviderToken'
    return age > OLDEST_S ? 'ExpiredProviderToken' : token
  }

  #signed(authorization: string): ProviderToken | undefined {
    if (this.#seen.has(authorization)) return this.#seen.get(authorization)
    if (this.#seen.size >= REMEMBERED) this.#seen.clear()
    const token = verified(authorization, this.#keys)
    this.#seen.set(authorization, token)
    return token
  }
}

/** Whether `next` may take the place of `last`: the same token, or one issued 20 minutes later. */
export function mayReplace(last: ProviderToken | undefined, next: ProviderToken): boolean {
  return !last || last.text === next.text || next.issuedAt - last.issuedAt >= SHORTEST_RENEWAL_S
}

function verified(authorization: string, keys: ReadonlyMap<string, TrustedKey>): ProviderToken | undefined {
  const text = /^bearer +(\S+)$/i.exec(authorization)?.[1]
  const [head, body, signature, ...rest] = text?.split('.') ?? []
  if (!text || !head || !body || !signature || rest.length > 0) return undefined
  const { alg, kid } = decoded(head)
  const { iss, iat } = decoded(body)
  const key = typeof kid === 'string' ? keys.get(kid) : undefined
  if (alg !== 'ES256' || !key || iss !== key.teamId || typeof iat !== 'number') return undefined
  const genuine = verify(
    'sha256',
    Buffer.from(`${head}.${body}`),
    { key: key.publicKey, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  )
  return genuine ? { text, key, issuedAt: iat } : undefined
}

/** A part of a JWT; one that is no JSON object says nothing. */
function decoded(part: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}
