/**
 * Keeps the environment of a device store open: opens it at its first use, and later again when that failed; when its
 * files have been removed or replaced, so that nothing is written into files that are at no path any more; and when it
 * could only be read, as soon as it may be written.
 */

import type { Clock, Timer } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { STAGES } from '../../base/limits.ts'
import { type Log, reasonOf } from '../../base/log.ts'
import { deviceFiles, identityOf, isWritable, type LmdbFiles } from './directory.ts'
import type { Environment } from './environment.ts'

/** How often it is tried again, at most, at a use, and how often its files are looked at. */
const TRY_AGAIN_MS = 5_000
const LOOK_EVERY_MS = 30_000

const CLOSE_MS = STAGES.storeMs

export interface KeptOpenOptions {
  readonly directory: string
  readonly log: Log
  readonly clock: Clock
}

export class KeptOpen {
  readonly #files: LmdbFiles
  readonly #open: () => Promise<Environment>
  readonly #log: Log
  readonly #clock: Clock
  readonly #listeners: (() => void)[] = []
  #kept: Environment | undefined
  #renewing: Promise<Environment> | undefined
  /** Nothing is opened before this is done: LMDB's locks are those of the process. */
  #closing: Promise<void> = Promise.resolve()
  /** Why it could not be opened the last time. */
  #failure: unknown
  #triedAt = 0
  #timer: Timer | undefined
  #closed = false

  /** The data file as it has been found in this run of microtasks. */
  #found: { readonly identity: string | undefined } | undefined

  /** Opens nothing yet. `open` is called whenever it must be opened. */
  constructor({ directory, log, clock }: KeptOpenOptions, open: () => Promise<Environment>) {
    this.#files = deviceFiles(directory)
    this.#open = open
    this.#log = log
    this.#clock = clock
  }

  /** The environment if it is open, for a reading that costs no promise. */
  get now(): Environment | undefined {
    return this.#kept
  }

  /** The environment, for reading. Rejects with the reason why it cannot be opened. */
  async toRead(): Promise<Environment> {
    if (this.#kept) return this.#kept
    if (this.#failure !== undefined && !this.#renewing && !this.#mayTry()) throw this.#failure
    return this.#renewed()
  }

  /**
   * Resolves when `work`, which writes, has been done in the files that are at their paths after it: when they turn out to
   * have been removed or replaced, it is done once more. Rejects as `work` does, and with the reason why the store cannot
   * be written.
   */
  async write(work: (environment: Environment) => Promise<void>): Promise<void> {
    for (let attempt = 1; attempt <= 2; attempt++) {
      const kept = await this.#toWrite()
      await work(kept)
      if (this.#isInPlace(kept)) return
      await this.#renewed()
    }
    throw new Error('the files of the device store were removed or replaced meanwhile')
  }

  /** Calls `listener` whenever it could not be opened, or not be written, and now can. */
  onReady(listener: () => void): void {
    this.#listeners.push(listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    // A failure to open has been told to the callers, and leaves nothing to close.
    await this.#renewing?.catch(() => undefined)
    this.#letGo()
    await within(this.#closing, CLOSE_MS, 'LMDB')
  }

  #mayTry(): boolean {
    return Math.abs(this.#clock.now() - this.#triedAt) >= TRY_AGAIN_MS
  }

  async #toWrite(): Promise<Environment> {
    let kept = await this.toRead()
    if (kept.readOnly !== undefined && this.#mayTry()) kept = await this.#renewed()
    if (kept.readOnly !== undefined) throw new Error(kept.readOnly)
    return kept
  }

  /** By the data file alone, once for all changes of one commit: a look takes a tenth of the time of a change. */
  #isInPlace({ identity }: Environment): boolean {
    if (!this.#found) {
      this.#found = { identity: identityOf(this.#files.data) }
      queueMicrotask(() => {
        this.#found = undefined
      })
    }
    return this.#found.identity !== undefined && this.#found.identity === identity.data
  }

  /** The environment of the files at the paths now, for writing if possible. Joins an attempt that is under way. */
  #renewed(): Promise<Environment> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  async #renew(): Promise<Environment> {
    if (this.#closed) throw new Error('the store is closed')
    this.#triedAt = this.#clock.now()
    this.#timer ??= this.#lookLater()
    const before = this.#kept
    if (before && !this.#isOutdated(before)) return before
    try {
      this.#letGo()
      await within(this.#closing, CLOSE_MS, 'LMDB')
      this.#kept = await this.#open()
    } catch (error) {
      this.#failure = error
      throw error
    }
    this.#tellNews(this.#kept, before?.readOnly !== undefined)
    return this.#kept
  }

  #isOutdated({ identity, readOnly }: Environment): boolean {
    const { data, lock } = this.#files
    const isReplaced = identity.data !== identityOf(data) || identity.lock !== identityOf(lock)
    if (isReplaced)
      this.#log.warn('the files of the device store were removed or replaced: opening it again', { data })
    return isReplaced || (readOnly !== undefined && isWritable(this.#files))
  }

  #tellNews({ readOnly }: Environment, wasReadOnly: boolean): void {
    const { data } = this.#files
    const isWrittenAgain = wasReadOnly && readOnly === undefined
    if (isWrittenAgain) this.#log.notice('the device store can be written again', { data })
    if (isWrittenAgain || this.#failure !== undefined) for (const listener of this.#listeners) listener()
    this.#failure = undefined
  }

  #letGo(): void {
    const kept = this.#kept
    this.#kept = undefined
    if (!kept) return
    this.#closing = kept.db
      .close()
      .catch(error =>
        this.#log.warn('the device store could not be closed in order', { reason: reasonOf(error) }),
      )
  }

  #lookLater(): Timer {
    return this.#clock.after(LOOK_EVERY_MS, () => {
      this.#renewed()
        // Readers that died without a word would keep LMDB from using free pages again.
        .then(({ db }) => db.readerCheck())
        .catch(error => this.#log.debug('the device store cannot be opened', { reason: reasonOf(error) }))
        .finally(() => {
          if (!this.#closed) this.#timer = this.#lookLater()
        })
    })
  }
}
