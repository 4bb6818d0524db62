/**
 * The parts of the `apn` package (@parse/node-apn 8.1.0, pinned) that carry a push: its client's connect() and
 * request(). Its Provider.send() is not used: on a 500 it closes the connection, it retries by itself, and it renews
 * a provider token whenever Apple calls it expired, however young it is. Nothing else in this project knows `apn`.
 */

import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import { isIP } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
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
  /** How long Apple may take to answer a push, in milliseconds. */
  readonly request_timeout: number
}

/** What Apple said, or why it said nothing. */
export type Outcome = Extract<Answer, { status: number }> | Silence

export interface Silence {
  readonly fault: string
  readonly timedOut: boolean
}

/** A connection, and the socket under it, which is there before the session is. */
export interface RawConnection {
  readonly session: ClientHttp2Session
  readonly socket: TLSSocket
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
  readonly config: {
    address: string
    readonly token: ProviderToken | null
    /** Apn hands its config to http2.connect(), which takes this. */
    createConnection?: () => TLSSocket
  }
  session?: ClientHttp2Session | undefined
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

/** Apn's own ping only writes a debug line; ours (connection.ts) ends a dead connection. The longest delay of a timer. */
const NO_HEARTBEAT_MS = 2 ** 31 - 1

const ACCEPTED: Outcome = { status: 200, reason: '' }

/** One `apn` client: one set of credentials, one provider token over all its connections, one try per request. */
export class ApnClient {
  readonly #client: Client
  readonly #clock: Clock
  /** The socket of the connection being made. */
  #socket: TLSSocket | undefined
  /** The stream of the request being made: `apn` keeps it to itself. */
  #stream: ClientHttp2Stream | undefined

  /** Throws when the credentials are of no use. */
  constructor(credentials: Credentials, endpoint: Endpoint, clock: Clock = systemClock) {
    this.#clock = clock
    this.#client = (new Provider(optionsOf(credentials, endpoint)) as unknown as { client: Client }).client
    const { config } = this.#client
    const host = endpoint.host || config.address
    // Told its address by an option, `apn` would take every host but Apple's for the sandbox.
    config.address = host.includes(':') ? `[${host}]` : host
    config.createConnection = () => {
      this.#socket = connectTls(tlsOptions(credentials, host, endpoint.port)).setNoDelay()
      return this.#socket
    }
    if (config.token) slowDown(config.token, clock)
  }

  /** Starts a connection of the caller's own; it may still be on its way up when this resolves. */
  async connect(): Promise<RawConnection> {
    await this.#client.connect()
    const { session } = this.#client
    const socket = this.#socket
    if (!session || !socket) throw new Error('no connection')
    this.#client.session = undefined
    // At GOAWAY `apn` would destroy what is in flight; Node itself lets it finish.
    session.removeAllListeners('goaway')
    const { request } = session
    session.request = (headers, options) => {
      this.#stream = request.call(session, headers, options)
      return this.#stream
    }
    return { session, socket }
  }

  /** Sends one push over `session`, which connect() gave. Never rejects. */
  async request(session: ClientHttp2Session, push: Push): Promise<Outcome> {
    let headers: IncomingHttpHeaders = {}
    try {
      const { address } = this.#client.config
      const answer = this.#client.request(session, address, push, `/3/device/${push.token}`, 'POST')
      this.#takeStream()?.on('response', answered => {
        headers = answered
      })
      await answer
      return ACCEPTED
    } catch (failure) {
      return this.#outcomeOf(failure as Failure, headers)
    }
  }

  /** Stops the timers of `apn`. The connections are their owners' to close. */
  dispose(): Promise<void> {
    return this.#client.shutdown()
  }

  /** The stream of the request that was just made; none when the session took no request. */
  #takeStream(): ClientHttp2Stream | undefined {
    const stream = this.#stream
    this.#stream = undefined
    return stream
  }

  #outcomeOf(failure: Failure, headers: IncomingHttpHeaders): Outcome {
    const { status, response } = failure
    if (typeof status !== 'number') return silence(failure.error ?? failure)
    const reason = response?.reason ?? reasonFromError(failure)
    const timestamp = Number(response?.timestamp)
    const retryAfterMs = retryAfter(headers['retry-after'], this.#clock.now())
    return {
      status,
      reason,
      ...(timestamp > 0 ? { timestamp } : {}),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    }
  }
}

function optionsOf({ proof }: Credentials, endpoint: Endpoint): ProviderOptions {
  return {
    ...(proof.kind === 'certificate' ? { cert: proof.cert, key: proof.key } : { token: proof }),
    production: endpoint.environment === 'production',
    requestTimeout: endpoint.request_timeout,
    connectionRetryLimit: 0,
    heartBeat: NO_HEARTBEAT_MS,
  }
}

function tlsOptions({ proof, ca }: Credentials, host: string, port: number): ConnectionOptions {
  return {
    host,
    port,
    ALPNProtocols: ['h2'],
    ...(isIP(host) ? {} : { servername: host }),
    ...(proof.kind === 'certificate' ? { cert: proof.cert, key: proof.key } : {}),
    ...(ca === undefined ? {} : { ca }),
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

function silence(error: unknown): Silence {
  const fault = reasonOf(error)
  return { fault, timedOut: fault === 'apn write timeout' }
}

/** Two answers come with an error in place of the body: 403 with its reason, and 500 with a sentence. */
function reasonFromError({ status, error }: Failure): string {
  return status === 500 ? 'InternalServerError' : reasonOf(error)
}

/** RFC 9110, 10.2.3: seconds, or a date. At most an hour, in milliseconds. */
function retryAfter(header: string | string[] | undefined, now: number): number | undefined {
  if (typeof header !== 'string') return undefined
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now
  return ms > 0 ? Math.min(ms, 3_600_000) : undefined
}
