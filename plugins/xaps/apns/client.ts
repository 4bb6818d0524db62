/**
 * What is used of the `apn` package (@parse/node-apn 8.1.0, pinned): the connection and the provider token of its
 * client. Its Provider.send() closes the connection on a 500, retries by itself, and renews a provider token whenever
 * Apple calls it expired, however young it is; the request below it never finds Retry-After, and is ours
 * (request.ts). Nothing else in this project knows `apn`.
 */

import http2, { type ClientHttp2Session } from 'node:http2'
import { isIP } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import type { ProviderOptions } from 'apn'
import { type Clock, systemClock } from '../base/clock.ts'
import type { Credentials } from './credentials.ts'
import type { Push } from './payload.ts'
import { type Outcome, request } from './request.ts'
import { PROVIDER_TOKEN_MIN_AGE_MS } from './verdict.ts'

export interface Endpoint {
  /** '' for Apple's own. */
  readonly host: string
  readonly port: number
  readonly environment: 'production' | 'sandbox'
  /** How long Apple may take to answer a push, in milliseconds. */
  readonly requestTimeoutMs: number
}

/** A connection, and the socket under it, which is there before the session is. */
export interface RawConnection {
  readonly session: ClientHttp2Session
  readonly socket: TLSSocket
}

interface ProviderToken {
  readonly generation: number
  /** The signed token. */
  readonly current: string
  isExpired(seconds: number): boolean
  regenerate(generation: number): void
}

interface Client {
  readonly config: {
    address: string
    readonly token: ProviderToken | null
    /** Apn hands its config to http2.connect(), which takes these. */
    createConnection?: () => TLSSocket
    settings?: { readonly enablePush: boolean }
  }
  session?: ClientHttp2Session | undefined
  connect(): Promise<void>
  shutdown(): Promise<void>
}

/** Apn's own ping only writes a debug line; ours (connection.ts) ends a dead connection. The longest delay of a timer. */
const NO_HEARTBEAT_MS = 2 ** 31 - 1

/** Apple takes a provider token for an hour. */
const PROVIDER_TOKEN_MAX_AGE_S = 55 * 60

/** One `apn` client: one set of credentials, one provider token over all its connections, one try per request. */
export class ApnClient {
  readonly clock: Clock
  readonly #client: Client
  readonly #endpoint: Endpoint
  /** When the provider token was signed, in ms since the epoch. */
  #renewedAt: number
  /** The socket of the connection being made. */
  #socket: TLSSocket | undefined

  /** Throws when the credentials are of no use. */
  constructor(credentials: Credentials, endpoint: Endpoint, clock: Clock = systemClock) {
    this.clock = clock
    this.#endpoint = endpoint
    this.#renewedAt = clock.now()
    this.#client = makeClient(credentials, endpoint)
    const { config } = this.#client
    const host = endpoint.host || config.address
    // Told its address by an option, `apn` would take every host but Apple's for the sandbox.
    config.address = host.includes(':') ? `[${host}]` : host
    config.createConnection = () => {
      this.#socket = connectTls(tlsOptions(credentials, host, endpoint.port)).setNoDelay()
      return this.#socket
    }
    // A stream that the peer opens would have nobody to listen to its errors.
    config.settings = { enablePush: false }
  }

  /** How long Apple may take, in milliseconds: as the endpoint is set now. */
  get timeoutMs(): number {
    return this.#endpoint.requestTimeoutMs
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
    return { session, socket }
  }

  /** Sends one push over `session`, which connect() gave. Never rejects. */
  request(session: ClientHttp2Session, push: Push): Promise<Outcome> {
    const { token } = this.#client.config
    return token
      ? this.#requestWith(token, session, push)
      : request(session, push, this.timeoutMs, this.clock)
  }

  /** Stops the timers of `apn`. The connections are their owners' to close. */
  dispose(): Promise<void> {
    return this.#client.shutdown()
  }

  async #requestWith(token: ProviderToken, session: ClientHttp2Session, push: Push): Promise<Outcome> {
    if (token.isExpired(PROVIDER_TOKEN_MAX_AGE_S)) this.#renew(token, token.generation)
    const { generation, current } = token
    const headers = { ...push.headers, authorization: `bearer ${current}` }
    const outcome = await request(session, { ...push, headers }, this.timeoutMs, this.clock)
    if ('status' in outcome && outcome.reason === 'ExpiredProviderToken') this.#renew(token, generation)
    return outcome
  }

  /** Apple answers 429 to a provider token that is renewed more than once in 20 minutes. */
  #renew(token: ProviderToken, generation: number): void {
    const now = this.clock.now()
    const ageMs = now - this.#renewedAt
    // Negative after a clock set back: its age is unknown then.
    if (ageMs >= 0 && ageMs < PROVIDER_TOKEN_MIN_AGE_MS) return
    this.#renewedAt = now
    token.regenerate(generation)
  }
}

/**
 * The client alone where there is a certificate, which is read and checked before: to do it once more `apn` would load
 * `node-forge` and others, 3 MB in each worker.
 */
function makeClient(credentials: Credentials, endpoint: Endpoint): Client {
  const options = optionsOf(credentials, endpoint)
  if (credentials.auth.kind === 'token') {
    const { Provider } = require('apn') as typeof import('apn')
    return (new Provider(options) as unknown as { client: Client }).client
  }
  const logger = Object.assign(() => undefined, { enabled: false })
  const asItIs = () => ({})
  const config = require('apn/lib/config')({ logger, prepareCertificate: asItIs, prepareCA: asItIs })
  return new (require('apn/lib/client')({ logger, config, http2 }))(options)
}

function optionsOf({ auth }: Credentials, endpoint: Endpoint): ProviderOptions {
  return {
    ...(auth.kind === 'certificate' ? { cert: auth.cert, key: auth.key } : { token: auth }),
    production: endpoint.environment === 'production',
    connectionRetryLimit: 0,
    heartBeat: NO_HEARTBEAT_MS,
  }
}

function tlsOptions({ auth, ca }: Credentials, host: string, port: number): ConnectionOptions {
  return {
    host,
    port,
    ALPNProtocols: ['h2'],
    ...(isIP(host) ? {} : { servername: host }),
    ...(auth.kind === 'certificate' ? { cert: auth.cert, key: auth.key } : {}),
    ...(ca === undefined ? {} : { ca }),
  }
}
