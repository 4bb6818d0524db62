/**
 * One long-lived connection to Apple. Sends one push per call and answers with what Apple said, or with the fault;
 * never rejects. Replaces a connection that has stopped answering, and one whose credentials were renewed. Decides
 * nothing: what an answer means stands in verdict.ts.
 */

import type { ClientHttp2Session } from 'node:http2'
import { type Clock, systemClock, type Timer } from '../clock.ts'
import { type Log, reasonOf } from '../log.ts'
import { ApnClient, type Endpoint } from './apn-client.ts'
import type { Credentials } from './credentials.ts'
import type { Push } from './payload.ts'
import type { Answer } from './verdict.ts'

export interface Transport {
  /** Opens the connection ahead of the first push. Returns at once; what fails shows with that push. */
  connect(): void
  send(push: Push): Promise<Answer>
  /** How many pushes the peer takes at a time; Infinity while it has not said. */
  streams(): number
  /** From the next push on, uses a new connection with these credentials. */
  renew(credentials: Credentials): void
  /** Lets what is under way finish and closes. */
  close(): Promise<void>
}

/** Apple asks for a ping after an idle hour; firewalls forget an idle connection sooner. */
const IDLE_PING_MS = 10 * 60_000

export function openTransport(
  credentials: Credentials,
  endpoint: Endpoint,
  log: Log,
  clock: Clock = systemClock,
): Transport {
  return new ApnTransport(credentials, endpoint, log, clock)
}

class ApnTransport implements Transport {
  readonly #endpoint: Endpoint
  readonly #log: Log
  readonly #clock: Clock
  #credentials: Credentials
  #client: ApnClient | undefined
  /** The answer to the first push on a new connection: until it is there Apple allows no second stream. */
  #first: Promise<Answer> | undefined
  /** The connection in use, and whether Apple has answered on it. */
  #session: ClientHttp2Session | undefined
  #proven = false
  readonly #retryAfter = new Map<string, number>()
  #lastUse = 0
  #ping: Timer | undefined

  constructor(credentials: Credentials, endpoint: Endpoint, log: Log, clock: Clock) {
    this.#credentials = credentials
    this.#endpoint = endpoint
    this.#log = log
    this.#clock = clock
  }

  connect(): void {
    const client = this.#usableClient()
    if ('unusable' in client || client.session) return
    this.#connected(client).catch((error: unknown) =>
      this.#log.debug('connecting to Apple', { cause: reasonOf(error) }),
    )
  }

  async send(push: Push): Promise<Answer> {
    this.#lastUse = this.#clock.now()
    const first = await this.#first
    if (first && 'fault' in first) return first
    const client = this.#usableClient()
    if ('unusable' in client) return client
    const session = client.session
    if (session === this.#session && session && this.#proven) return this.#sendOver(client, session, push)
    if (this.#first) return this.send(push)
    this.#first = this.#sendFirst(client, push)
    try {
      return await this.#first
    } finally {
      this.#first = undefined
    }
  }

  streams(): number {
    return this.#client?.session?.remoteSettings?.maxConcurrentStreams ?? Number.POSITIVE_INFINITY
  }

  renew(credentials: Credentials): void {
    this.#credentials = credentials
    this.#retire()
  }

  async close(): Promise<void> {
    this.#ping?.cancel()
    await this.#client?.close()
  }

  /** The client with the credentials in use; a certificate that has ended is not even tried. */
  #usableClient(): ApnClient | { unusable: string } {
    const { notAfter } = this.#credentials
    if (notAfter !== undefined && notAfter <= this.#clock.now()) {
      return { unusable: `the certificate ended on ${new Date(notAfter).toISOString()}` }
    }
    try {
      this.#client ??= new ApnClient(this.#credentials, this.#endpoint, this.#clock)
      return this.#client
    } catch (error) {
      return { unusable: reasonOf(error) }
    }
  }

  async #sendFirst(client: ApnClient, push: Push): Promise<Answer> {
    try {
      const session = client.session ?? (await this.#connected(client))
      const answer = await this.#sendOver(client, session, push)
      this.#proven = 'status' in answer
      return answer
    } catch (error) {
      return { fault: reasonOf(error) }
    }
  }

  async #connected(client: ApnClient): Promise<ClientHttp2Session> {
    const session = await client.connect()
    if (session === this.#session) return session
    this.#session = session
    this.#proven = false
    this.#tapRetryAfter(session)
    this.#schedulePing(session)
    return session
  }

  async #sendOver(client: ApnClient, session: ClientHttp2Session, push: Push): Promise<Answer> {
    const answer = await client.request(session, push)
    if (!('status' in answer)) {
      this.#doubt(client, session)
      return answer
    }
    if (answer.reason === 'IdleTimeout') this.#retire()
    if (this.#retryAfter.size === 0) return answer
    const retryAfterMs = this.#retryAfter.get(push.token)
    this.#retryAfter.delete(push.token)
    return retryAfterMs === undefined ? answer : { ...answer, retryAfterMs }
  }

  /** After a fault on a connection that still looks open nothing more is sent over it: it may be a black hole. */
  #doubt(client: ApnClient, session: ClientHttp2Session): void {
    if (client === this.#client && client.session === session) this.#retire()
  }

  /** Takes the client out of use; what is under way on it finishes or times out. */
  #retire(): void {
    const client = this.#client
    this.#client = undefined
    this.#ping?.cancel()
    client
      ?.close()
      .catch((error: unknown) => this.#log.debug('closing a connection to Apple', { cause: reasonOf(error) }))
  }

  /** Reads Retry-After, which `apn` drops. */
  #tapRetryAfter(session: ClientHttp2Session): void {
    const request = session.request
    session.request = (headers, options) => {
      const stream = request.call(session, headers, options)
      stream.once('response', answered => {
        const ms = retryAfterMs(answered['retry-after'], this.#clock.now())
        const token = String(headers && ':path' in headers ? headers[':path'] : '')
          .split('/')
          .at(-1)
        if (ms !== undefined && token) this.#retryAfter.set(token, ms)
      })
      return stream
    }
  }

  #schedulePing(session: ClientHttp2Session): void {
    this.#ping?.cancel()
    const idleSince = this.#lastUse
    this.#ping = this.#clock.after(IDLE_PING_MS, () => {
      if (session.closed || session.destroyed) return
      if (this.#lastUse === idleSince) this.#pingNow(session)
      this.#schedulePing(session)
    })
  }

  #pingNow(session: ClientHttp2Session): void {
    const deadline = this.#clock.after(this.#endpoint.request_timeout, () => session.destroy())
    session.ping(error => {
      deadline.cancel()
      if (error) session.destroy()
    })
  }
}

/** RFC 9110, 10.2.3: seconds, or a date. */
function retryAfterMs(header: string | string[] | undefined, now: number): number | undefined {
  if (typeof header !== 'string') return undefined
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now
  return ms > 0 ? Math.min(ms, 3_600_000) : undefined
}
