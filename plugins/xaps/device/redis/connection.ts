/**
 * The connection to Redis, made at the first call, and again whenever it is lost. Every call is answered within a deadline;
 * while the server is away the answer is an Error that says why.
 */

import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { DeadlineExceeded, within } from '../../base/deadline.ts'
import { reasonOf } from '../../base/log.ts'
import { addressOf, type RedisPlace } from '../../base/store-uri.ts'
import { TransitionLog } from '../../base/transition-log.ts'
import { DamagedRecord } from '../codec.ts'
import { UnusableServer } from '../store.ts'
import type { Client, News } from './client.ts'
import { clusterClient } from './cluster.ts'
import { directClient } from './direct.ts'
import { connectionReason, type Library, loadLibrary, type RedisOptions } from './options.ts'

const DEADLINE_MS = 2_000
const LONGEST_PAUSE_MS = 2_000
/** An election takes seconds: its end is worth noticing soon. */
const LONGEST_PAUSE_OF_SUCCESSORS_MS = 500

export class RedisConnection {
  /** For messages: "Redis at host:port". */
  readonly server: string
  readonly deadlineMs: number
  readonly #options: RedisOptions
  readonly #transitions = new TransitionLog('up')
  readonly #listeners: (() => void)[] = []
  #library: Promise<Library> | undefined
  /** Resolves when the first attempt to connect has ended, in whatever way. */
  #firstNews: Promise<void> | undefined
  #made: Client | undefined
  /** While it is connected. */
  #client: Client | undefined
  #unusable: UnusableServer | undefined
  #lastError: string | undefined
  #answeredAt = Date.now()
  #closed = false

  constructor(options: RedisOptions) {
    this.server = nameOf(options.place)
    this.deadlineMs = options.deadlineMs ?? DEADLINE_MS
    this.#options = options
  }

  /** The client of the present connection. Throws an Error where there is none. */
  get client(): Client {
    if (this.#unusable) throw this.#unusable
    if (!this.#client) throw new Error('not connected')
    return this.#client
  }

  /**
   * Runs `run` and waits for it until the deadline. Rejects with DamagedRecord, UnusableServer, or an Error that names the
   * server and the reason.
   */
  async call<T>(run: (client: Client) => Promise<T>): Promise<T> {
    if (this.#closed) throw new Error(`${this.server}: the store is closed`)
    try {
      // To load the library is no matter of the server's.
      this.#library ??= loadLibrary()
      const library = await this.#library
      this.#firstNews ??= this.#open(library)
      const result = await within(
        this.#firstNews.then(() => run(this.client)),
        this.deadlineMs,
        'the server',
      )
      this.#answeredAt = Date.now()
      return result
    } catch (error) {
      if (error instanceof DamagedRecord || error instanceof UnusableServer) throw error
      this.#lookInto(error)
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
    this.#made?.destroy()
  }

  #open(library: Library): Promise<void> {
    return new Promise(resolve => void this.#keepConnected(library, resolve))
  }

  /** Connects, and again when the connection has ended, until the store is closed. Calls `onNews` after each attempt. */
  async #keepConnected(library: Library, onNews: () => void): Promise<void> {
    for (let failures = 0; !this.#closed; failures++) {
      try {
        const end = await this.#connect(library)
        failures = -1
        onNews()
        if (!end.aborted) await once(end, 'abort')
      } catch (error) {
        this.#hasFailed(error, connectionReason(error, this.#options))
        onNews()
      }
      const longest =
        this.#options.place.form === 'single' ? LONGEST_PAUSE_MS : LONGEST_PAUSE_OF_SUCCESSORS_MS
      const pauseMs = Math.min(100 * 2 ** Math.max(failures, 0), longest)
      await setTimeout(pauseMs, undefined, { ref: false })
    }
  }

  /** Resolves when connected, with what tells of the connection's end. Rejects when there is no server of use. */
  async #connect(library: Library): Promise<AbortSignal> {
    const make = this.#options.place.form === 'cluster' ? clusterClient : directClient
    const end = new AbortController()
    const client = await make(library, this.#options, this.#news(end))
    this.#made = client
    if (this.#closed) throw new Error('the store is closed')
    try {
      await client.connect()
      if (end.signal.aborted) throw new Error('it ended the connection')
    } catch (error) {
      client.destroy()
      throw error
    }
    this.#client = client
    this.#isUp()
    return end.signal
  }

  #news(end: AbortController): News {
    return {
      ended: error => {
        // A client that is no longer in use has nothing to say.
        if (end.signal.aborted) return
        this.#client = undefined
        if (error !== undefined) this.#hasFailed(error)
        end.abort()
      },
      partlyAway: error => this.#isAway('partly away', connectionReason(error)),
      complete: () => this.#isUp(),
    }
  }

  #isUp(): void {
    this.#transitions.to('up', counted => this.#options.log.notice(`${this.server} is back`, counted))
    this.#unusable = undefined
    this.#lastError = undefined
    for (const listener of this.#listeners) listener()
  }

  #hasFailed(error: unknown, reason = connectionReason(error)): void {
    this.#lastError = reason
    this.#unusable =
      error instanceof UnusableServer ? new UnusableServer(`${this.server}: ${reason}`) : undefined
    this.#isAway('away', reason)
  }

  #isAway(state: string, reason: string): void {
    this.#transitions.to(state, counted =>
      this.#options.log.warn(`${this.server} is ${state}`, { reason, ...counted }),
    )
  }

  /** Ends a connection that is of no use any more: another is made then. */
  #lookInto(error: unknown): void {
    if (error instanceof DeadlineExceeded)
      this.#client?.unanswered(Date.now() - this.#answeredAt >= this.deadlineMs)
    // The master has become a replica.
    if (this.#options.place.form === 'sentinel' && reasonOf(error).includes('READONLY'))
      this.#client?.destroy()
  }

  /** The reason of a failed call; "not connected" alone would not help. */
  #explain(error: unknown): string {
    const reason = connectionReason(error)
    const cause = this.#client ? undefined : this.#lastError
    return cause === undefined || cause === reason ? reason : `${reason}: ${cause}`
  }
}

function nameOf({ form, servers, master }: RedisPlace): string {
  const at = servers.map(addressOf).join(', ')
  if (form === 'sentinel') return `Redis Sentinel at ${at} (master ${master})`
  return form === 'cluster' ? `Redis Cluster at ${at}` : `Redis at ${at}`
}
