/**
 * One connection of a provider: whose it is, judged once for a certificate and per token otherwise, and how many
 * streams it may have. Knows nothing of what is pushed.
 */

import type { ServerHttp2Session } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { type Scope, scopeOf } from './extensions.ts'
import { mayReplace, type ProviderToken, type TokenVerifier } from './provider-token.ts'
import type { Reason } from './reasons.ts'

export type Environment = 'production' | 'sandbox'

/** What the credentials allow. */
export interface Grant {
  /** Undefined: any. */
  readonly topics: readonly string[] | undefined
  /** The topic of a push that names none. */
  readonly standard: string | undefined
}

/** What all connections have in common. */
export interface Rules {
  readonly environment: Environment
  readonly verifier: TokenVerifier
  /** The last token per key id over all connections; undefined: each connection has its own. */
  readonly lastTokens: Map<string, ProviderToken> | undefined
}

export class Connection {
  readonly id: number
  readonly session: ServerHttp2Session
  readonly #rules: Rules
  readonly #certificate: Grant | Reason | undefined
  readonly #lastTokens: Map<string, ProviderToken>
  #limit: number
  #open: boolean

  /** `limit` is the number of concurrent streams once the provider is known. */
  constructor(session: ServerHttp2Session, id: number, rules: Rules, limit: number) {
    this.id = id
    this.session = session
    this.#rules = rules
    this.#certificate = certificateGrant(session.socket as TLSSocket, rules.environment)
    this.#lastTokens = rules.lastTokens ?? new Map()
    this.#limit = limit
    this.#open = this.#certificate !== undefined
  }

  /** What a request with this authorization header may do. A certificate makes Apple ignore the header. */
  grant(authorization: string | undefined): Grant | Reason {
    if (this.#certificate !== undefined) return this.#certificate
    const token = this.#rules.verifier.check(authorization)
    if (typeof token === 'string') return token
    const { environment = this.#rules.environment } = token.key
    if (environment !== this.#rules.environment) return 'BadEnvironmentKeyIdInToken'
    if (!mayReplace(this.#lastTokens.get(token.key.keyId), token)) return 'TooManyProviderTokenUpdates'
    this.#lastTokens.set(token.key.keyId, token)
    this.#allowAll()
    return { topics: token.key.topics, standard: undefined }
  }

  /** A token connection has one stream until Apple knows whose it is. */
  #allowAll(): void {
    if (this.#open) return
    this.#open = true
    this.limit(this.#limit)
  }

  /** Allows `streams` at once from now on, to a provider that is known. */
  limit(streams: number): void {
    this.#limit = streams
    if (this.#open && !this.session.closed) this.session.settings({ maxConcurrentStreams: streams })
  }
}

export function presentsCertificate(socket: TLSSocket): boolean {
  return socket.getPeerCertificate().raw !== undefined
}

function certificateGrant(socket: TLSSocket, environment: Environment): Grant | Reason | undefined {
  if (!presentsCertificate(socket)) return undefined
  if (!socket.authorized) return 'BadCertificate'
  const scope = readScope(socket.getPeerCertificate().raw)
  if (!scope || scope.topics.length === 0) return 'BadCertificate'
  if (!scope[environment]) return 'BadCertificateEnvironment'
  return { topics: scope.topics, standard: scope.topics.length === 1 ? scope.topics[0] : undefined }
}

function readScope(certificate: Buffer): Scope | undefined {
  try {
    return scopeOf(certificate)
  } catch {
    return undefined
  }
}
