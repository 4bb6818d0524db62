/**
 * The connections of providers: whose each is, judged once for a certificate and per token otherwise, and how many
 * streams it may have. Knows nothing of what is pushed.
 */

import type { ServerHttp2Session } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { type Scope, scopeOf } from './certificates.ts'
import { mayReplace, type ProviderToken, type TokenVerifier } from './provider-token.ts'
import type { Reason } from './reasons.ts'
import type { Grant } from './rules.ts'

export type Environment = 'production' | 'sandbox'

/** What all connections have in common. */
export interface Policy {
  readonly environment: Environment
  readonly verifier: TokenVerifier
  /** The last token per key id over all connections; undefined: each connection has its own. */
  readonly lastTokens: Map<string, ProviderToken> | undefined
}

export class Connections {
  readonly open = new Set<Connection>()
  /** How many there have been. */
  opened = 0
  /** Concurrent streams per connection, once its provider is known. */
  limit: number
  readonly #policy: Policy

  constructor(policy: Policy, limit: number) {
    this.#policy = policy
    this.limit = limit
  }

  add(session: ServerHttp2Session): Connection {
    const connection = new Connection(session, ++this.opened, this.#policy, this.limit)
    this.open.add(connection)
    session.on('close', () => this.open.delete(connection))
    return connection
  }

  /** Allows so many streams on connections of now and of later. */
  setLimit(streams: number): void {
    this.limit = streams
    for (const connection of this.open) connection.allow(streams)
  }
}

export class Connection {
  /** From 1, in the order of their opening. */
  readonly id: number
  readonly session: ServerHttp2Session
  readonly #policy: Policy
  readonly #certificate: Grant | Reason | undefined
  readonly #lastTokens: Map<string, ProviderToken>
  #limit: number
  #isKnown: boolean

  constructor(session: ServerHttp2Session, id: number, policy: Policy, limit: number) {
    this.id = id
    this.session = session
    this.#policy = policy
    this.#certificate = certificateGrant(session.socket as TLSSocket, policy.environment)
    this.#lastTokens = policy.lastTokens ?? new Map()
    this.#limit = limit
    this.#isKnown = this.#certificate !== undefined
  }

  /** What a request with this authorization header may do. A certificate makes Apple ignore the header. */
  grant(authorization: string | undefined): Grant | Reason {
    if (this.#certificate !== undefined) return this.#certificate
    const token = this.#policy.verifier.check(authorization)
    if (typeof token === 'string') return token
    const { environment = this.#policy.environment } = token.key
    if (environment !== this.#policy.environment) return 'BadEnvironmentKeyIdInToken'
    if (!mayReplace(this.#lastTokens.get(token.key.keyId), token)) return 'TooManyProviderTokenUpdates'
    this.#lastTokens.set(token.key.keyId, token)
    if (!this.#isKnown) {
      this.#isKnown = true
      this.allow(this.#limit)
    }
    return { topics: token.key.topics, standard: undefined }
  }

  /** Allows `streams` at once from now on; a provider that is not known yet has one until it is. */
  allow(streams: number): void {
    this.#limit = streams
    if (this.#isKnown && !this.session.closed) this.session.settings({ maxConcurrentStreams: streams })
  }
}

export function presentsCertificate(socket: TLSSocket): boolean {
  return socket.getPeerCertificate().raw !== undefined
}

function certificateGrant(socket: TLSSocket, environment: Environment): Grant | Reason | undefined {
  if (!presentsCertificate(socket)) return undefined
  const scope = socket.authorized ? readScope(socket.getPeerCertificate().raw) : undefined
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
