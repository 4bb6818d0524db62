/**
 * The parts of the `apn` package (@parse/node-apn 8.1.0, pinned) that carry a push: its client's connect() and
 * request(). Its Provider.send() is not used: on a 500 it closes the connection, it retries by itself, and it renews
 * a provider token whenever Apple calls it expired, however young it is. Nothing else in this project knows `apn`.
 */

import type { ClientHttp2Session } from 'node:http2'
import { Provider, type ProviderOptions } from 'apn'
import { type Clock, systemClock } from '../clock.ts'
import { reasonOf } from '../log.ts'
import type { Credentials } from './credentials.ts'
import type { Push } from './payload.ts'
import { type Answer, PROVIDER_TOKEN_MIN_AGE_MS } from './verdict.ts'

export interface Endpoint {
  /** '' for Apple's own. */
  readonly host: string
  readonly port: number
  readonly environment: 'production' | 'sandbox'
  readonly request_timeout: number
}

interface ProviderToken {
  generation: number
  regenerate(generation: number): void
}

/** What a failed request() rejects with: Apple's answer, or an error. */
interface Failure {
  readonly status?: unknown
  readonly response?: { readonly reason?: string; readonly timestamp?: number | string }
  readonly error?: unknown
}

interface Client {
  readonly config: { address: string; token: ProviderToken | null }
  session?: ClientHttp2Session
  connect(): Promise<void>
  request(
    session: ClientHttp2Session,
    address: string,
    notification: { headers: Push['headers']; body: string },
    path: string,
    method: 'POST',
  ): Promise<unknown>
  shutdown(): Promise<void>
}

/** Apn's own ping only writes a debug line; ours (transport.ts) ends a dead connection. The longest delay of a timer. */
const NO_HEARTBEAT_MS = 2 ** 31 - 1

/** One `apn` client: one connection to Apple at a time, one try per request. */
export class ApnClient {
  readonly #client: Client

  constructor(credentials: Credentials, endpoint: Endpoint, clock: Clock = systemClock) {
    this.#client = (new Provider(optionsOf(credentials, endpoint)) as unknown as { client: Client }).client
    const { host } = endpoint
    if (host !== '') this.#client.config.address = host.includes(':') ? `[${host}]` : host
    if (this.#client.config.token) slowDown(this.#client.config.token, clock)
  }

  /** The open connection, if there is one that takes requests. */
  get session(): ClientHttp2Session | undefined {
    const { session } = this.#client
    return session && !session.closed && !session.destroyed ? session : undefined
  }

  /** Starts a connection; it may still be on its way up when this resolves. */
  async connect(): Promise<ClientHttp2Session> {
    await this.#client.connect()
    if (!this.#client.session) throw new Error('no connection')
    return this.#client.session
  }

  /** Sends one push over `session`. Never rejects: a fault is an Answer too. */
  async request(session: ClientHttp2Session, push: Push): Promise<Answer> {
    try {
      await this.#client.request(
        session,
        this.#client.config.address,
        push,
        `/3/device/${push.token}`,
        'POST',
      )
      return { status: 200, reason: '' }
    } catch (failure) {
      return answerOf(failure as Failure)
    }
  }

  /** Lets what is under way finish, then closes the connection. */
  async close(): Promise<void> {
    await this.#client.shutdown()
  }
}

function optionsOf(credentials: Credentials, endpoint: Endpoint): ProviderOptions {
  const { proof, ca } = credentials
  return {
    ...(proof.kind === 'certificate' ? { cert: proof.cert, key: proof.key } : { token: proof }),
    ...(ca === undefined ? {} : { ca: [ca] }),
    production: endpoint.environment === 'production',
    port: endpoint.port,
    requestTimeout: endpoint.request_timeout,
    connectionRetryLimit: 0,
    heartBeat: NO_HEARTBEAT_MS,
  }
}

/** Apple answers 429 to a provider token that is renewed more than once in 20 minutes. */
function slowDown(token: ProviderToken, clock: Clock): void {
  const regenerate = token.regenerate.bind(token)
  let renewedAt = clock.now()
  token.regenerate = generation => {
    if (clock.now() - renewedAt < PROVIDER_TOKEN_MIN_AGE_MS) return
    renewedAt = clock.now()
    regenerate(generation)
  }
}

function answerOf(failure: Failure): Answer {
  if (typeof failure.status !== 'number') return { fault: reasonOf(failure.error ?? failure) }
  const reason = failure.response?.reason ?? reasonFromError(failure)
  const timestamp = Number(failure.response?.timestamp)
  return { status: failure.status, reason, ...(timestamp > 0 ? { timestamp } : {}) }
}

/** Two answers come with an error in place of the body: 403 with its reason, and 500 with a sentence. */
function reasonFromError({ status, error }: Failure): string {
  return status === 500 ? 'InternalServerError' : reasonOf(error)
}
