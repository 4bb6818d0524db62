/**
 * Pushes to Apple over one long-lived connection, which is replaced when it has ended, has stopped answering, or has
 * outlived its credentials. One call sends one push once, and answers with the verdict on it; never rejects. Decides
 * nothing: push/consequences.ts says what follows.
 */

import { isDeepStrictEqual } from 'node:util'
import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import type { Device } from '../device/device.ts'
import type { ApnClient, Endpoint } from './client.ts'
import { Connection, connectionLost } from './connection.ts'
import type { Credentials } from './credentials.ts'
import { makePush, type Push, type PushSettings } from './payload.ts'
import type { Verdict } from './verdict.ts'

/** Loaded for the first connection, with `apn` and HTTP/2: a companion that starts again answers phones meanwhile. */
const clientModule = () => require('./client.js') as typeof import('./client.ts')

/** How long an orderly end may take when nothing is under way. */
const CLOSE_MS = 500

export class Transport {
  readonly #settings: Endpoint & PushSettings
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

  constructor(
    credentials: Credentials,
    settings: Endpoint & PushSettings,
    log: Log,
    clock: Clock = systemClock,
  ) {
    this.#credentials = credentials
    this.#settings = settings
    this.#madeFor = madeFor(credentials, settings)
    this.#log = log
    this.#clock = clock
  }

  /** The credentials in use. */
  get credentials(): Credentials {
    return this.#credentials
  }

  /** Opens the connection ahead of the first push. Returns at once; a failure shows with that push. */
  connect(): void {
    if (!this.#closed) this.#usable()
  }

  /** Whether the credentials are good for the topic that `device` listens to. */
  mayPush({ topic }: Device): boolean {
    return this.#credentials.topics.includes(topic)
  }

  /** Sends one push to `device`, once. Never rejects. */
  push(device: Device): Promise<Verdict> {
    return this.#send(makePush(device, this.#settings, this.#clock.now()))
  }

  /** From the next push on, uses a new connection with these credentials, to the endpoint as it is set. */
  renew(credentials: Credentials): void {
    this.#credentials = credentials
    const before = this.#madeFor
    this.#madeFor = madeFor(credentials, this.#settings)
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

  #send(push: Push): Promise<Verdict> {
    if (this.#closed) return Promise.resolve(connectionLost('the connection was closed'))
    const connection = this.#usable()
    return connection instanceof Connection ? connection.send(push) : Promise.resolve(connection)
  }

  /** The connection in use, or a new one. A certificate that has ended is not even tried: the verdict without it. */
  #usable(): Connection | Verdict {
    const { notAfter } = this.#credentials
    if (notAfter !== undefined && notAfter <= this.#clock.now()) {
      return { kind: 'refused setup', reason: `the certificate ended on ${new Date(notAfter).toISOString()}` }
    }
    if (this.#connection?.open) return this.#connection
    try {
      this.#client ??= new (clientModule().ApnClient)(this.#credentials, this.#settings, this.#clock)
      return this.#open(this.#client)
    } catch (error) {
      return { kind: 'refused setup', reason: reasonOf(error) }
    }
  }

  #open(client: ApnClient): Connection {
    const connection = new Connection(client, push => this.#send(push))
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
