/**
 * The connection to a Redis server, made at the first call. Every call is answered within a deadline; while the server is
 * away the answer is an Error that says why.
 */

import { DeadlineExceeded, within } from '../../base/deadline.ts'
import { reasonOf } from '../../base/log.ts'
import { TransitionLog } from '../../base/transition-log.ts'
import { DamagedRecord } from '../codec.ts'
import type { KeyedStoreOptions } from '../keyed-store.ts'
import { UnusableServer } from '../store.ts'
import { type Client, makeClient } from './client.ts'

export interface RedisOptions extends KeyedStoreOptions {
  /** redis:// or rediss://, with user, password and database as there may be. */
  readonly uri: string
  /** How long one call may take, in milliseconds. */
  readonly deadlineMs?: number
}

const DEADLINE_MS = 2_000

export class RedisConnection {
  /** For messages: "Redis at host:port". */
  readonly server: string
  readonly deadlineMs: number
  readonly #options: RedisOptions
  readonly #transitions = new TransitionLog('up')
  readonly #listeners: (() => void)[] = []
  #client: Client | undefined
  #made: Promise<Client> | undefined
  #lastError: string | undefined
  #answeredAt = Date.now()
  #closed = false

  constructor(options: RedisOptions) {
    this.server = `Redis at ${new URL(options.uri).host}`
    this.deadlineMs = options.deadlineMs ?? DEADLINE_MS
    this.#options = options
  }

  /**
   * Runs `run` and waits for it until the deadline. Rejects with DamagedRecord, UnusableServer, or an Error that names the
   * server and the reason.
   */
  async call<T>(run: (client: Client) => Promise<T>): Promise<T> {
    if (this.#closed) throw new Error(`${this.server}: the store is closed`)
    try {
      // To load the library is no matter of the server's.
      this.#made ??= this.#make()
      const client = await this.#made
      const result = await within(
        client.usable().then(() => run(client)),
        this.deadlineMs,
        'the server',
      )
      this.#answeredAt = Date.now()
      return result
    } catch (error) {
      if (error instanceof DamagedRecord || error instanceof UnusableServer) throw error
      if (error instanceof DeadlineExceeded) this.#replaceIfSilent()
      throw new Error(`${this.server}: ${this.#explain(error)}`)
    }
  }

  /** Calls `listener` at each connection. */
  onReady(listener: () => void): void {
    this.#listeners.push(listener)
  }

  close(): void {
    this.#closed = true
    this.#transitions.close()
    // Not close(): that waits for answers that may never come.
    if (this.#client?.redis.isOpen) this.#client.redis.destroy()
  }

  async #make(): Promise<Client> {
    const { uri, namespace } = this.#options
    const client = await makeClient(uri, namespace, this.server)
    if (this.#closed) throw new Error('the store is closed')
    this.#client = client
    client.redis.on('ready', () => this.#isUp())
    client.redis.on('error', error => this.#hasFailed(reasonOf(error)))
    this.#connect(client)
    return client
  }

  /** The client tries until it succeeds or is destroyed, and reports failures as 'error' events. */
  #connect({ redis }: Client): void {
    redis
      .connect()
      .catch((error: unknown) =>
        this.#options.log.debug(`${this.server}: connecting ended`, { reason: reasonOf(error) }),
      )
  }

  #isUp(): void {
    this.#transitions.to('up', counted => this.#options.log.notice(`${this.server} is back`, counted))
    this.#lastError = undefined
    for (const listener of this.#listeners) listener()
  }

  #hasFailed(reason: string): void {
    this.#lastError = reason
    if (this.#client?.redis.isReady) return
    this.#transitions.to('away', counted =>
      this.#options.log.warn(`${this.server} is away`, { reason, ...counted }),
    )
  }

  /** A connection whose other end has vanished is only noticed by its silence: TCP itself takes a quarter of an hour. */
  #replaceIfSilent(): void {
    if (!this.#client?.redis.isReady || Date.now() - this.#answeredAt < this.deadlineMs) return
    this.#client.redis.destroy()
    this.#connect(this.#client)
  }

  /** The reason of a failed call; "the client is offline" alone would not help. */
  #explain(error: unknown): string {
    const reason = reasonOf(error)
    const cause = this.#client?.redis.isReady ? undefined : this.#lastError
    return cause === undefined || cause === reason ? reason : `${reason}: ${cause}`
  }
}
