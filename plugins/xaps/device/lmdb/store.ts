/**
 * The device store in an LMDB directory on local disk, for all processes of one host; each opens it for itself. Not for
 * network file systems: LMDB needs shared memory and real locks.
 *
 * One that this process may read but not write is opened, too, and rejects changes until it may be written. Its files
 * are watched while it is open.
 */

import { statfsSync } from 'node:fs'
import { within } from '../../base/deadline.ts'
import { fullKey, pushKey, type Stored } from '../codec.ts'
import type { Change } from '../compare-and-set.ts'
import type { UserRecord } from '../device.ts'
import { type Batch, KeyedStore, type KeyedStoreOptions } from '../keyed-store.ts'
import type { Claim, ClaimRequest } from '../store.ts'
import { HostClaims } from './claims.ts'
import { batchesIn, type EnvironmentOptions, openEnvironment } from './environment.ts'
import { KeptOpen } from './kept-open.ts'
import { makeCheckRoom } from './room.ts'

export interface LmdbStoreOptions extends KeyedStoreOptions, EnvironmentOptions {
  /** How long a change may wait for other processes and for the disk, in milliseconds. */
  readonly deadlineMs?: number
}

/** Enough for a busy disk; a process that holds LMDB's lock for longer has been stopped. */
const DEADLINE_MS = 10_000

export class LmdbStore extends KeyedStore<LmdbStoreOptions> {
  readonly #kept = new KeptOpen(this.options, () => openEnvironment(this.options))
  readonly #claims = new HostClaims(this.options.directory, this.options.clock, this.options.log)
  readonly #checkRoom = makeCheckRoom(() => statfsSync(this.options.directory))
  #changing = 0

  async claim(push: string, request: ClaimRequest): Promise<Claim> {
    return this.#claims.claim(fullKey(this.options.namespace, pushKey(push)), request)
  }

  protected async lastClaim(push: string): Promise<number | undefined> {
    return this.#claims.sinceLast(fullKey(this.options.namespace, pushKey(push)))
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
    const { deadlineMs = DEADLINE_MS } = this.options
    return this.#kept.write(({ compareAndSet }) =>
      this.#withRoom(() => within(compareAndSet(key, change, Date.now() + deadlineMs), deadlineMs, 'LMDB')),
    )
  }

  protected async *batches(): AsyncGenerator<Batch> {
    yield* batchesIn((await this.#kept.toRead()).db, this.options.namespace)
  }

  /** Runs `write` if there is room on the disk for it, and for those that are under way. */
  async #withRoom(write: () => Promise<void>): Promise<void> {
    this.#changing += 1
    try {
      this.#checkRoom(this.#changing)
      await write()
    } catch (error) {
      throw new Error(`the device store in ${this.options.directory} cannot be written`, { cause: error })
    } finally {
      this.#changing -= 1
    }
  }
}
