/**
 * Registrations that were acknowledged while the store did not take them: kept in a device store of their own on local
 * disk, and saved as replays when the store answers again. Saving one twice or late is harmless, so a crash at any moment
 * costs nothing. Knows the other store by a function only.
 */

import { isDeepStrictEqual } from 'node:util'
import { Backoff, NO_JITTER } from '../base/backoff.ts'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { within } from '../base/deadline.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { onceAMinute } from '../base/transition-log.ts'
import { type Device, sameDevice, type UserRecord } from '../device/device.ts'
import { forget, type Registration, register } from '../device/record.ts'
import type { DeviceStore } from '../device/store.ts'
import { takeOlderSpool } from './older-spool.ts'

export interface SpoolOptions {
  /** On local disk, and of the spool alone. Opened at its first use. */
  readonly local: DeviceStore
  /** Where it is: an earlier version has left its file there, perhaps. */
  readonly directory: string
  /** Opened by start() already, not only when it is needed. */
  readonly openAtStart: boolean
  /** Devices per user, as in the store: the spool drops none that the store would keep. */
  readonly maxDevices: number
  /** Bytes of all records at most; MAX_BYTES without it. */
  readonly maxBytes?: number
}

/** Saves a registration in the store. */
export type Save = (user: string, registration: Registration) => Promise<unknown>

const BACKOFF = { firstMs: 500, lastMs: 5_000 }

const MAX_BYTES = 16 * 1024 * 1024

/** A store that says nothing at all does not hold up the spool for ever. */
const SAVE_TIMEOUT_MS = 10_000

/** Users whose devices are saved at a time; a store commits them together. */
const BATCH = 32

/** The record of one user is no larger than this share of all: any user can send registrations all day. */
const USER_SHARE = 1 / 16

interface Size {
  readonly devices: number
  readonly bytes: number
}

export class Spool {
  readonly #options: SpoolOptions
  readonly #log: Log
  readonly #clock: Clock
  readonly #backoff = new Backoff(BACKOFF, NO_JITTER)
  readonly #firstInMinute: (cause: string) => boolean
  /** By user, in the order in which they are to be saved. */
  readonly #waiting = new Map<string, Size>()
  /** Of all that wait. */
  #bytes = 0
  #opened: Promise<void> | undefined
  #failure = ''
  #save: Save | undefined
  #next: Timer | undefined
  #saving = false
  /** Since the last line in the log. */
  #saved = 0
  #closed = false

  constructor(options: SpoolOptions, log: Log, clock: Clock = systemClock) {
    this.#options = options
    this.#log = log
    this.#clock = clock
    this.#firstInMinute = onceAMinute(clock)
  }

  /** Devices that wait, as far as is known: none before the spool is opened. */
  get size(): number {
    return [...this.#waiting.values()].reduce((sum, { devices }) => sum + devices, 0)
  }

  /** Resolves once the registration is on disk; rejects when the spool is full or cannot be written. */
  async add(user: string, registration: Registration): Promise<void> {
    await this.#open()
    const { local, maxDevices } = this.#options
    try {
      await local.update(user, record => {
        const live = !isOvertaken(record, registration, this.#clock.now())
        return this.#takeRoom(user, register(record, registration, { maxDevices, live }))
      })
    } catch (error) {
      await this.#countAgain(user)
      throw error
    }
    this.#schedule(BACKOFF.firstMs)
  }

  /** Saves all that waits, and all that will, by `save`; tries again with a back-off as long as that rejects. */
  start(save: Save): void {
    this.#save = save
    if (this.#options.openAtStart) this.#schedule(0)
  }

  /** The store answers again: saves all that waits without waiting for the back-off. */
  saveNow(): void {
    if (!this.#opened) return
    this.#backoff.reset()
    this.#next?.cancel()
    this.#next = undefined
    this.#schedule(0)
  }

  /** Stops saving. The rest stays on disk. */
  async close(): Promise<void> {
    this.#closed = true
    this.#next?.cancel()
    await this.#options.local.close()
  }

  /** Opens the local store and counts its devices. Rejects when that is impossible, and may then be called again. */
  #open(): Promise<void> {
    this.#opened ??= this.#load().catch(error => {
      this.#opened = undefined
      throw error
    })
    return this.#opened
  }

  async #load(): Promise<void> {
    const { local, directory, maxDevices } = this.#options
    await local.warnings()
    await takeOlderSpool(directory, local, maxDevices, this.#log)
    try {
      for await (const [user, devices] of local.users()) this.#count(user, devices)
    } catch (error) {
      // Of a damaged record, whose user has to register again.
      this.#log.error('the spool cannot be read in full', { reason: reasonOf(error) })
    }
    if (this.size > 0) this.#log.notice('registrations wait in the spool', { count: this.size })
  }

  /** Counts the devices that `user` will have; throws when there is no room for more than before. */
  #takeRoom(user: string, record: UserRecord): UserRecord {
    const { maxBytes = MAX_BYTES } = this.#options
    const bytes = bytesOf(record.devices)
    const more = bytes - (this.#waiting.get(user)?.bytes ?? 0)
    if (bytes > maxBytes * USER_SHARE) throw new Error("the user's share of the spool is full")
    if (more > 0 && this.#bytes + more > maxBytes) throw new Error('the spool is full')
    this.#count(user, record.devices)
    return record
  }

  #count(user: string, devices: readonly Device[]): void {
    const bytes = devices.length === 0 ? 0 : bytesOf(devices)
    this.#bytes += bytes - (this.#waiting.get(user)?.bytes ?? 0)
    if (devices.length === 0) this.#waiting.delete(user)
    else this.#waiting.set(user, { devices: devices.length, bytes })
  }

  /** As it is on disk, after a change that was counted and not made; a record that cannot be read goes on counting. */
  async #countAgain(user: string): Promise<void> {
    await this.#options.local.devices(user).then(
      devices => this.#count(user, devices),
      () => undefined,
    )
  }

  #schedule(ms: number): void {
    const save = this.#save
    if (!save || this.#closed || this.#saving || this.#next) return
    this.#next = this.#clock.after(ms, () => {
      this.#next = undefined
      this.#saving = true
      void this.#saveAll(save).then(complete => {
        this.#saving = false
        if (!complete) this.#schedule(this.#backoff.next())
      })
    })
  }

  /** Saves until nothing waits, or something fails: then it resolves with false. */
  async #saveAll(save: Save): Promise<boolean> {
    try {
      await this.#open()
    } catch (error) {
      const reason = reasonOf(error)
      if (reason !== this.#failure) this.#log.error('the spool cannot be read', { reason })
      this.#failure = reason
      return false
    }
    while (this.#waiting.size > 0 && !this.#closed) {
      const batch = [...this.#waiting].slice(0, BATCH)
      // At the back of the queue no user keeps the others from being saved.
      for (const [user, size] of batch) if (this.#waiting.delete(user)) this.#waiting.set(user, size)
      const complete = await Promise.all(batch.map(([user]) => this.#saveUser(user, save)))
      if (complete.includes(false)) return false
    }
    this.#backoff.reset()
    // Of a store that comes and goes, a line a minute with the sum is enough.
    if (this.#saved > 0 && this.#firstInMinute('saved')) {
      this.#log.notice('registrations from the spool are saved', { count: this.#saved })
      this.#saved = 0
    }
    return true
  }

  /** Saves the devices of `user`, and forgets each that is saved and has not registered again meanwhile. */
  async #saveUser(user: string, save: Save): Promise<boolean> {
    const { local } = this.#options
    try {
      const devices = await local.devices(user)
      const saved: Device[] = []
      const saveOne = async (device: Device) => {
        await within(save(user, registrationOf(device)), SAVE_TIMEOUT_MS, 'store', this.#clock)
        saved.push(device)
      }
      await Promise.allSettled(devices.map(saveOne))
      this.#saved += saved.length
      await local.update(user, record => {
        const after = forget(record, device => saved.some(other => isDeepStrictEqual(other, device)))
        this.#count(user, after.devices)
        return after
      })
      return saved.length === devices.length
    } catch (error) {
      this.#log.debug('the spool cannot be emptied', { reason: reasonOf(error) })
      await this.#countAgain(user)
      return false
    }
  }
}

/** Whether a later one of the same device is here: this one has waited for the store meanwhile. `now`: ms since the epoch. */
function isOvertaken({ devices }: UserRecord, registration: Registration, now: number): boolean {
  const known = devices.find(device => sameDevice(device, registration))
  return known !== undefined && known.lastSeen > registration.at && known.lastSeen <= now
}

function bytesOf(devices: readonly Device[]): number {
  return Buffer.byteLength(JSON.stringify(devices))
}

function registrationOf({ registeredAt: _, lastSeen, ...identity }: Device): Registration {
  return { ...identity, at: lastSeen }
}
