/**
 * Keeps the environment of a device store open: opens it again when its files have been removed or replaced, so that
 * nothing is written into files that are at no path any more; when it could only be read, as soon as it may be written;
 * and when it could not be opened. Knows nothing of what is in it.
 */

import { statSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { oncePerRun } from '../../base/batch.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { STAGES } from '../../base/limits.ts'
import { type Log, reasonOf } from '../../base/log.ts'
import { isWritable, type LmdbFiles } from './directory.ts'

/** Device and inode of the two files. */
export type Identity = Readonly<Record<keyof LmdbFiles, string | undefined>>

/** An open environment, and what can be done with it. */
export interface Environment {
  /** By identityOf, from before it was opened: what has been replaced since then is noticed. */
  readonly identity: Identity
  /** Why it can only be read; undefined when it can be written. */
  readonly readOnly: string | undefined
  /** Resolves when what is being written has been, and all is let go. */
  close(): Promise<void>
}

/** How often it is tried again, at most, at a use, and how often its files are looked at. */
const TRY_AGAIN_MS = 5_000
const LOOK_EVERY_MS = 30_000
const CLOSE_MS = STAGES.storeMs

export class KeptOpen<E extends Environment> {
  readonly #files: LmdbFiles
  readonly #dataNow: () => string | undefined
  readonly #open: () => Promise<E>
  readonly #log: Log
  readonly #clock: Clock
  #kept: E | undefined
  #opening: Promise<E> | undefined
  /** What is being closed must be before anything is opened: LMDB's locks are those of the process. */
  #closing: Promise<void> = Promise.resolve()
  #failure: unknown
  #triedAt = 0
  #timer: Timer
  #closed = false

  /** Opens nothing yet. `open` is called whenever it must be opened. */
  constructor(files: LmdbFiles, open: () => Promise<E>, log: Log, clock: Clock) {
    this.#files = files
    this.#dataNow = oncePerRun(() => identityOfFile(files.data))
    this.#open = open
    this.#log = log
    this.#clock = clock
    this.#timer = this.#lookLater()
  }

  /** The environment if it is open, for a reading that costs no promise. */
  get now(): E | undefined {
    return this.#closed ? undefined : this.#kept
  }

  /** The environment, for reading. Rejects with what stands in the way. */
  async toRead(): Promise<E> {
    if (this.#closed) throw new Error('the store is closed')
    if (this.#kept) return this.#kept
    if (!this.#opening && !this.#mayTry()) throw this.#failure
    return this.#openAgain()
  }

  /** The environment, for writing, with the files that are at their paths now. Rejects with what stands in the way. */
  async toWrite(): Promise<E> {
    let kept = await this.toRead()
    if (this.#isElsewhere(kept)) kept = await this.#reopen(kept)
    if (kept.readOnly !== undefined && this.#mayTry()) kept = await this.#tryToWrite(kept)
    if (kept.readOnly !== undefined) throw new Error(kept.readOnly)
    return kept
  }

  /** Throws when what has been written to `environment` is not in the files at their paths. */
  confirm(environment: E): void {
    if (!this.#isElsewhere(environment)) return
    // A failure is told to its next user.
    this.#reopen(environment).catch(() => undefined)
    throw new Error('its files were removed or replaced meanwhile')
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer.cancel()
    // What could not be opened has told its callers so, and leaves nothing to close.
    await this.#opening?.catch(() => undefined)
    this.#letGo()
    await within(this.#closing, CLOSE_MS, 'LMDB')
  }

  #mayTry(): boolean {
    return Math.abs(this.#clock.now() - this.#triedAt) >= TRY_AGAIN_MS
  }

  /** By the data file alone, since every change asks; the lock file is looked at now and then. */
  #isElsewhere({ identity }: E): boolean {
    return identity?.data === undefined || this.#dataNow() !== identity.data
  }

  /** Joins an attempt that is under way, and takes what another has opened. */
  async #openAgain(): Promise<E> {
    if (this.#kept) return this.#kept
    this.#triedAt = this.#clock.now()
    this.#opening ??= this.#attempt().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #attempt(): Promise<E> {
    if (this.#closed) throw new Error('the store is closed')
    try {
      await within(this.#closing, CLOSE_MS, 'LMDB')
      this.#kept = await this.#open()
      return this.#kept
    } catch (error) {
      this.#failure = error
      throw error
    }
  }

  #letGo(): void {
    const kept = this.#kept
    this.#kept = undefined
    if (!kept) return
    this.#closing = kept
      .close()
      .catch(error =>
        this.#log.warn('the device store could not be closed in order', { reason: reasonOf(error) }),
      )
  }

  /** Opens what is at the paths now instead of `environment`, unless that has been done already. */
  #reopen(environment: E): Promise<E> {
    if (this.#kept === environment) {
      const { data } = this.#files
      this.#log.warn('the files of the device store were removed or replaced: opening it again', { data })
      this.#letGo()
    }
    return this.#openAgain()
  }

  /** Opens `environment` for writing if that may be possible by now. */
  async #tryToWrite(environment: E): Promise<E> {
    this.#triedAt = this.#clock.now()
    if (!isWritable(this.#files)) return environment
    if (this.#kept === environment) this.#letGo()
    const kept = await this.#openAgain()
    if (kept.readOnly === undefined)
      this.#log.notice('the device store can be written again', { data: this.#files.data })
    return kept
  }

  #lookLater(): Timer {
    return this.#clock.after(LOOK_EVERY_MS, () => {
      this.#look()
        .catch(error => this.#log.debug('the device store cannot be opened', { reason: reasonOf(error) }))
        .finally(() => {
          if (!this.#closed) this.#timer = this.#lookLater()
        })
    })
  }

  async #look(): Promise<void> {
    const kept = await this.#openAgain()
    if (!isDeepStrictEqual(kept.identity, identityOf(this.#files))) await this.#reopen(kept)
    else if (kept.readOnly !== undefined) await this.#tryToWrite(kept)
  }
}

/** Which files these are; undefined for one that is missing. */
export function identityOf({ data, lock }: LmdbFiles): Identity {
  return { data: identityOfFile(data), lock: identityOfFile(lock) }
}

function identityOfFile(file: string): string | undefined {
  const found = statSync(file, { throwIfNoEntry: false })
  return found && `${found.dev}:${found.ino}`
}
