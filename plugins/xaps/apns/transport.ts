/**
 * Pushes to Apple over one long-lived connection, which is replaced when it has ended, has stopped answering, or has
 * outlived its credentials. Sends one push per call and answers with what Apple said, or with the fault; never
 * rejects. Decides nothing: verdict.ts says what an answer means.
 */

import { isDeepStrictEqual } from 'node:util'
import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import type { ApnClient, Endpoint } from './client.ts'
import { Connection } from './connection.ts'
import type { Credentials } from './credentials.ts'
import type { Push } from './payload.ts'
import type { Answer } from './verdict.ts'

/** Loaded for the first connection, with `apn` and HTTP/2: a companion that starts again answers phones meanwhile. */
const clientModule = () => require('./client.js') as typeof import('./client.ts')

/** How long an orderly end may take when nothing is under way. */
const CLOSE_MS = 500

const CLOSED: Answer = { fault: 'the connection was closed', of: 'connection' }

export class Transport {
  readonly #endpoint: Endpoint
  /** All that a client is made for. */
  #madeFor: unknown
  readonly #log: Log
  readonly #clock: Clock
  #credentials: Credentials
  #client: ApnClient | undefined
  #connection: Connection | undefined
  /** All that have not ended: the one in use, and retired ones with pushes in flight. */
  readonly #connections = new Set<Connection>()
  #closed = false

  constructor(credentials: Credentials, endpoint: Endpoint, log: Log, clock: Clock = systemClock) {
    this.#credentials = credentials
    this.#endpoint = endpoint
    this.#madeFor = madeFor(credentials, endpoint)
    this.#log = log
    this.#clock = clock
  }

  /** Opens the connection ahead of the first push. Returns at once; a failure shows with that push. */
  connect(): void {
    if (!this.#closed) this.#usable()
  }

  /** Never rejects. */
  send(push: Push): Promise<Answer> {
    if (this.#closed) return Promise.resolve(CLOSED)
    const connection = this.#usable()
    return 'unusable' in connection ? Promise.resolve(connection) : connection.send(push)
  }

  /** From the next push on, uses a new connection with these credentials, to the endpoint as it is set. */
  renew(credentials: Credentials): void {
    this.#credentials = credentials
    const before = this.#madeFor
    this.#madeFor = madeFor(credentials, this.#endpoint)
    // A new client would sign a new provider token, and Apple counts those.
    if (isDeepStrictEqual(before, this.#madeFor)) return
    this.#disposeClient()
    this.#connection?.retire()
    this.#connection = undefined
  }

  /** Sends no more, lets what is under way finish for `graceMs` milliseconds, and closes. Never rejects. */
  async close(graceMs = CLOSE_MS): Promise<void> {
    this.#closed = true
    this.#disposeClient()
    const connections = [...this.#connections]
    for (const connection of connections) connection.close(graceMs)
    await Promise.all(connections.map(({ ended }) => ended))
  }

  /** The connection in use, or a new one; a certificate that has ended is not even tried. */
  #usable(): Connection | { readonly unusable: string } {
    const { notAfter } = this.#credentials
    if (notAfter !== undefined && notAfter <= this.#clock.now()) {
      return { unusable: `the certificate ended on ${new Date(notAfter).toISOString()}` }
    }
    if (this.#connection?.open) return this.#connection
    try {
      this.#client ??= new (clientModule().ApnClient)(this.#credentials, this.#endpoint, this.#clock)
      return this.#open(this.#client)
    } catch (error) {
      return { unusable: reasonOf(error) }
    }
  }

  #open(client: ApnClient): Connection {
    const { requestTimeoutMs } = this.#endpoint
    const connection = new Connection(client, push => this.send(push), requestTimeoutMs, this.#clock)
    this.#connection = connection
    this.#connections.add(connection)
    void connection.ended.then(() => this.#connections.delete(connection))
    this.#log.debug('connecting to Apple')
    return connection
  }

  #disposeClient(): void {
    this.#client?.dispose().catch((error: unknown) => {
      this.#log.debug('closing the client for Apple', { cause: reasonOf(error) })
    })
    this.#client = undefined
  }
}

function madeFor({ auth, ca }: Credentials, { host, port, environment }: Endpoint): unknown {
  return { auth, ca, host, port, environment }
}
