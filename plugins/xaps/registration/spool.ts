/**
 * Registrations that were acknowledged while the store was away: kept on local disk, and saved when it is back.
 * Saving one twice or late is harmless, because the store keeps the newest by `at`; so a crash at any moment costs
 * nothing but a few of these. Knows no store: it is given a function.
 */

import path from 'node:path'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { within } from '../base/deadline.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { SpoolFile } from './spool-file.ts'
import type { Registration } from './validate.ts'

/** A registration, the topic that its phone was told, and when it came in (ms since the epoch). */
export interface SpoolEntry extends Registration {
  readonly topic: string
  readonly at: number
}

export interface SpoolLimits {
  /** Devices that wait at most. */
  readonly maxEntries?: number
  /** Bytes of the file at most. */
  readonly maxBytes?: number
}

export interface Spool {
  /** Devices that wait. */
  readonly size: number
  /** Resolves once the entry is on disk; rejects when the spool is full or cannot be written. */
  add(entry: SpoolEntry): Promise<void>
  /** Saves what waits, and what will, by `save`; tries again with a back-off as long as that rejects. */
  start(save: (entry: SpoolEntry) => Promise<unknown>): void
  /** The store answers again: saves what waits without waiting for the back-off. */
  saveNow(): void
  /** Stops saving. What waits stays on disk. */
  close(): Promise<void>
}

const FILE = 'registrations.jsonl'

/** Milliseconds between two attempts: doubling, from the first to the longest. */
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 5_000

/** A store that says nothing at all does not hold up the spool for ever. */
const SAVE_TIMEOUT_MS = 10_000

/** Saved at a time; a store commits them together. */
const BATCH = 32

/** No user may take more than this share of the file: any of them can send registrations all day. */
const USER_SHARE = 1 / 16

interface Waiting {
  readonly entry: SpoolEntry
  readonly onDisk: Promise<void>
}

/** Opens the spool in `directory`, which is made when something has to be written. Never rejects. */
export async function openSpool(
  directory: string,
  limits: SpoolLimits,
  log: Log,
  clock: Clock = systemClock,
): Promise<Spool> {
  const spool = new FileSpool(directory, limits, log, clock)
  await spool.load()
  return spool
}

class FileSpool implements Spool {
  readonly #path: string
  readonly #file: SpoolFile
  readonly #maxEntries: number
  readonly #maxBytes: number
  readonly #log: Log
  readonly #clock: Clock
  /** By device, in the order in which they will be saved. */
  readonly #waiting = new Map<string, Waiting>()
  readonly #bytesOfUser = new Map<string, number>()
  #save: ((entry: SpoolEntry) => Promise<unknown>) | undefined
  #next: Timer | undefined
  #saving = false
  /** Before the next attempt; 0 while saving goes well. */
  #pause = 0
  #saved = 0
  #closed = false

  constructor(directory: string, limits: SpoolLimits, log: Log, clock: Clock) {
    this.#path = path.join(directory, FILE)
    this.#file = new SpoolFile(this.#path)
    this.#maxEntries = limits.maxEntries ?? 10_000
    this.#maxBytes = limits.maxBytes ?? 16 * 1024 * 1024
    this.#log = log
    this.#clock = clock
  }

  get size(): number {
    return this.#waiting.size
  }

  async load(): Promise<void> {
    try {
      const lines = await this.#file.load()
      const entries = lines.map(parseEntry).filter(entry => entry !== undefined)
      for (const entry of entries) this.#waiting.set(keyOf(entry), { entry, onDisk: Promise.resolve() })
      if (entries.length < lines.length)
        this.#log.warn('damaged lines in the spool were skipped', {
          file: this.#path,
          count: lines.length - entries.length,
        })
      if (this.size > 0) this.#log.notice('registrations wait in the spool', { count: this.size })
    } catch (error) {
      this.#log.error('the spool cannot be read', { file: this.#path, reason: reasonOf(error) })
    }
  }

  async add(entry: SpoolEntry): Promise<void> {
    const key = keyOf(entry)
    const before = this.#waiting.get(key)
    // The same once more tells the store nothing that the first will not.
    if (before && sameContent(before.entry, entry)) return before.onDisk
    const line = JSON.stringify(entry)
    const giveBack = this.#takeRoom(entry.user, Buffer.byteLength(line) + 1, before !== undefined)
    const waiting = { entry, onDisk: this.#file.append(line) }
    this.#waiting.set(key, waiting)
    try {
      await waiting.onDisk
    } catch (error) {
      giveBack()
      if (this.#waiting.get(key) === waiting) this.#putBack(key, before)
      throw error
    }
    this.#schedule(FIRST_PAUSE_MS)
  }

  start(save: (entry: SpoolEntry) => Promise<unknown>): void {
    this.#save = save
    this.#schedule(0)
  }

  saveNow(): void {
    this.#pause = 0
    this.#next?.cancel()
    this.#next = undefined
    this.#schedule(0)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#next?.cancel()
    await this.#file.close()
  }

  /** Throws when there is no room. Returns what gives it back. */
  #takeRoom(user: string, bytes: number, known: boolean): () => void {
    const ofUser = this.#bytesOf(user) + bytes
    if (!known && this.size >= this.#maxEntries) throw new Error('the spool is full')
    if (this.#file.size + bytes > this.#maxBytes) throw new Error('the spool is full')
    if (ofUser > this.#maxBytes * USER_SHARE) throw new Error("the user's share of the spool is full")
    this.#bytesOfUser.set(user, ofUser)
    return () => this.#bytesOfUser.set(user, Math.max(0, this.#bytesOf(user) - bytes))
  }

  #bytesOf(user: string): number {
    return this.#bytesOfUser.get(user) ?? 0
  }

  #putBack(key: string, before: Waiting | undefined): void {
    if (before) this.#waiting.set(key, before)
    else this.#waiting.delete(key)
  }

  #schedule(ms: number): void {
    const save = this.#save
    if (!save || this.#closed || this.#saving || this.#next || this.size === 0) return
    this.#next = this.#clock.after(ms, () => {
      this.#next = undefined
      this.#saving = true
      void this.#saveWaiting(save).finally(() => {
        this.#saving = false
        this.#schedule(this.#pause)
      })
    })
  }

  /** Saves until nothing waits or something fails. Never rejects. */
  async #saveWaiting(save: (entry: SpoolEntry) => Promise<unknown>): Promise<void> {
    while (this.size > 0 && !this.#closed) {
      const batch = [...this.#waiting].slice(0, BATCH)
      const results = await Promise.allSettled(
        batch.map(([, { entry }]) => within(save(entry), SAVE_TIMEOUT_MS, 'store', this.#clock)),
      )
      const failed = batch.filter(([key, waiting], index) => {
        if (results[index]?.status === 'rejected') return true
        if (this.#waiting.get(key) === waiting) this.#waiting.delete(key)
        return false
      })
      this.#saved += batch.length - failed.length
      if (failed.length > 0) return this.#backOff(failed)
    }
    this.#pause = 0
    if (this.size === 0) await this.#clear()
  }

  #backOff(failed: readonly (readonly [string, Waiting])[]): void {
    // At the back of the queue none of them keeps the others from being saved.
    for (const [key, waiting] of failed) {
      if (this.#waiting.get(key) !== waiting) continue
      this.#waiting.delete(key)
      this.#waiting.set(key, waiting)
    }
    this.#pause = Math.min(Math.max(this.#pause * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)
  }

  async #clear(): Promise<void> {
    if (this.#saved > 0) this.#log.notice('registrations from the spool are saved', { count: this.#saved })
    this.#saved = 0
    try {
      await this.#file.clear(() => this.size === 0)
      if (this.size === 0) this.#bytesOfUser.clear()
    } catch (error) {
      this.#log.warn('the spool could not be emptied', { file: this.#path, reason: reasonOf(error) })
    }
  }
}

function keyOf({ user, account, token }: SpoolEntry): string {
  return JSON.stringify([user, account, token])
}

function sameContent(a: SpoolEntry, b: SpoolEntry): boolean {
  return JSON.stringify({ ...a, at: 0 }) === JSON.stringify({ ...b, at: 0 })
}

/** A line of the file; undefined when it is none of ours, or half of one. */
function parseEntry(line: string): SpoolEntry | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isEntry(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isEntry(value: unknown): value is SpoolEntry {
  if (typeof value !== 'object' || value === null) return false
  const { at, mailboxes, user, account, token, subtopic, topic } = value as Record<string, unknown>
  return (
    [user, account, token, subtopic, topic].every(text => typeof text === 'string' && text !== '') &&
    Array.isArray(mailboxes) &&
    mailboxes.every(name => typeof name === 'string') &&
    Number.isFinite(at)
  )
}
