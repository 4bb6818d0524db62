/**
 * The device store in an LMDB directory on local disk, for all processes of one host; each opens it for itself. Not for
 * network file systems: LMDB needs shared memory and real locks.
 *
 * One that this process may read but not write is opened, too, and rejects changes until it may be written. Once open it
 * stays so: what becomes of its files is seen to.
 */

import { statfsSync } from 'node:fs'
import { within } from '../../base/deadline.ts'
import { fullKey, type Stored } from '../codec.ts'
import type { Change } from '../compare-and-set.ts'
import type { UserRecord } from '../device.ts'
import { type Batch, KeyedStore, type KeyedStoreOptions } from '../keyed-store.ts'
import type { Claim, ClaimRequest } from '../store.ts'
import { HostClaims } from './claims.ts'
import { deviceFiles } from './directory.ts'
import { batchesIn, type Environment, type EnvironmentOptions, openEnvironment } from './environment.ts'
import { KeptOpen } from './kept-open.ts'
import { makeCheckRoom } from './room.ts'

export interface LmdbStoreOptions extends KeyedStoreOptions, EnvironmentOptions {
  /** How long a change may wait for other processes and for the disk, in milliseconds. */
  readonly deadlineMs?: number
}

/** Enough for a busy disk; a process that holds LMDB's lock for longer has been stopped. */
const DEADLINE_MS = 10_000

export class LmdbStore extends KeyedStore {
  readonly #options: LmdbStoreOptions
  readonly #kept: KeptOpen
  readonly #claims: HostClaims
  readonly #checkRoom: (changes: number) => void
  readonly #deadlineMs: number
  #changing = 0

  constructor(options: LmdbStoreOptions) {
    super(options)
    const { directory, log, clock, deadlineMs = DEADLINE_MS } = options
    this.#options = options
    this.#kept = new KeptOpen(deviceFiles(directory), () => openEnvironment(options), log, clock)
    this.#claims = new HostClaims(directory, clock, log)
    this.#checkRoom = makeCheckRoom(() => statfsSync(directory))
    this.#deadlineMs = deadlineMs
  }

  async warnings(): Promise<readonly string[]> {
    const { readOnly } = await this.#kept.toRead()
    return readOnly === undefined ? [] : [`${readOnly}: registrations wait in the spool until it can be`]
  }

  onReady(listener: () => void): void {
    this.#kept.onReady(listener)
  }

  async close(): Promise<void> {
    this.#claims.close()
    await this.#kept.close()
  }

  protected read(key: string): Promise<UserRecord | undefined> {
    return this.#kept.now?.keyv.get(key) ?? this.#kept.toRead().then(({ keyv }) => keyv.get(key))
  }

  protected change(key: string, change: Change<Stored>): Promise<void> {
    const until = Date.now() + this.#deadlineMs
    return this.#kept.write(environment => this.#changeIn(environment, key, change, until))
  }

  protected async *batches(): AsyncGenerator<Batch> {
    yield* batchesIn((await this.#kept.toRead()).db, this.#options.namespace)
  }

  protected claimKey(key: string, request: ClaimRequest): Promise<Claim> {
    return this.#claims.claim(fullKey(this.#options.namespace, key), request)
  }

  async #changeIn(
    environment: Environment,
    key: string,
    change: Change<Stored>,
    until: number,
  ): Promise<void> {
    this.#changing += 1
    try {
      this.#checkRoom(this.#changing)
      await within(environment.compareAndSet(key, change, until), this.#deadlineMs, 'LMDB')
    } catch (error) {
      throw new Error(`the device store in ${this.#options.directory} cannot be written`, { cause: error })
    } finally {
      this.#changing -= 1
    }
  }
}
