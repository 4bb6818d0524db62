/**
 * The DeviceStore over keys and texts: one key per user, read by Keyv's get and changed by an atomic
 * change of one key, which each kind of store has for itself. Knows neither LMDB nor Redis.
 */

import { setImmediate } from 'node:timers/promises'
import { Keyv, type KeyvOptions } from 'keyv'
import type { Clock } from '../base/clock.ts'
import { type Log, maskUser, reasonOf } from '../base/log.ts'
import { LEAST_KEPT_MS } from './claim.ts'
import { DamagedRecord, decodeRecord, type Stored, storedIn, userKey, userOf } from './codec.ts'
import type { Change } from './compare-and-set.ts'
import {
  type Came,
  type Device,
  EMPTY_RECORD,
  type GoneDevice,
  pushNameOf,
  type UserRecord,
} from './device.ts'
import { withoutExpired } from './record.ts'
import type { Claim, ClaimRequest, DeviceStore } from './store.ts'

export interface KeyedStoreOptions {
  /** All keys in the store start with it. */
  readonly namespace: string
  /** Devices not seen for so long, in milliseconds, count as gone. Read when it is needed: expireAfter() changes it. */
  expireAfterMs: number
  readonly log: Log
  readonly clock: Clock
}

/** Keys of users' records and their texts, some hundreds at a time; without a text where one has gone meanwhile. */
export type Batch = ReadonlyArray<readonly [key: string, text: string | undefined]>

/** Opened at its first use, and again later where that fails. Keys are without the namespace. */
export abstract class KeyedStore<Options extends KeyedStoreOptions = KeyedStoreOptions>
  implements DeviceStore
{
  protected readonly options: Options

  constructor(options: Options) {
    this.options = options
  }

  /** From now on devices not seen for `ms` milliseconds count as gone. */
  expireAfter(ms: number): void {
    this.options.expireAfterMs = ms
  }

  abstract claim(push: string, request: ClaimRequest): Promise<Claim>
  abstract warnings(): Promise<readonly string[]>
  abstract onReady(listener: () => void): void
  abstract close(): Promise<void>

  /** Milliseconds since the last claim of this push, whatever process claimed it; undefined where none is remembered. */
  protected abstract lastClaim(push: string): Promise<number | undefined>
  /** The record under `key` by Keyv's get: one lookup. Rejects with DamagedRecord, too. */
  protected abstract read(key: string): Promise<UserRecord | undefined>
  /**
   * Applies `change` to the value under `key`, atomically over all processes, and resolves when the result is safely
   * stored. The very value that `change` got means no change. `change` may run several times.
   */
  protected abstract change(key: string, change: Change<Stored>): Promise<void>
  /** All users' records; one that is changed meanwhile may come or not. */
  protected abstract batches(): AsyncIterable<Batch>

  async devices(user: string): Promise<readonly Device[]> {
    return (await this.#recordOf(user)).devices
  }

  async came(user: string): Promise<Came | undefined> {
    return (await this.#recordOf(user)).came
  }

  async gone(user: string): Promise<readonly GoneDevice[]> {
    return (await this.#recordOf(user)).gone
  }

  async lastPush(user: string): Promise<number | undefined> {
    const devices = await this.devices(user)
    const claims = await Promise.all(devices.map(device => this.lastClaim(pushNameOf(device))))
    const last = Math.min(...claims.map(ms => ms ?? Number.POSITIVE_INFINITY))
    return last <= LEAST_KEPT_MS ? last : undefined
  }

  async #recordOf(user: string): Promise<UserRecord> {
    const key = userKey(user)
    try {
      return this.#current((await this.read(key)) ?? EMPTY_RECORD)
    } catch (error) {
      throw error instanceof DamagedRecord ? damagedRecordOf([user]) : error
    }
  }

  async update(user: string, change: (record: UserRecord) => UserRecord): Promise<UserRecord> {
    let result: UserRecord = EMPTY_RECORD
    const key = userKey(user)
    await this.change(key, stored => {
      // A damaged record gives way to the next registration: refusing that would shut the user out for good.
      const known = this.#readable(stored, 'replaced', key)
      result = change(this.#current(known ?? EMPTY_RECORD))
      return result
    })
    return result
  }

  async *users(): AsyncGenerator<
    readonly [user: string, devices: readonly Device[], came?: Came | undefined]
  > {
    const damaged: string[] = []
    for await (const batch of this.batches()) {
      for (const [key, text] of batch) {
        const record = this.#readable(storedIn(text), 'passed over', key)
        const { devices, came } = this.#current(record ?? EMPTY_RECORD)
        if (!record) damaged.push(userOf(key))
        if (devices.length > 0) yield [userOf(key), devices, came] as const
      }
      // LMDB's come without a pause in which signals and other work would be noticed.
      await setImmediate()
    }
    if (damaged.length > 0) throw damagedRecordOf(damaged)
  }

  async sweep(visit: (devices: readonly Device[]) => void = () => undefined): Promise<number> {
    let removed = 0
    for await (const batch of this.batches()) {
      const counts = await Promise.all(batch.map(([key, text]) => this.#sweepOne(storedIn(text), key, visit)))
      removed += counts.reduce((sum, count) => sum + count, 0)
      await setImmediate()
    }
    return removed
  }

  async #sweepOne(stored: Stored, key: string, visit: (devices: readonly Device[]) => void): Promise<number> {
    const record = this.#readable(stored, 'left as they are', key)
    if (!record) return 0
    const current = this.#current(record)
    if (current.devices.length > 0) visit(current.devices)
    if (current === record) return 0
    await this.update(userOf(key), unchanged => unchanged)
    return record.devices.length - current.devices.length
  }

  #current(record: UserRecord): UserRecord {
    return withoutExpired(record, this.options.clock.now(), this.options.expireAfterMs)
  }

  /** The record, or undefined when it is damaged, which is logged. */
  #readable(stored: Stored, consequence: string, key: string): UserRecord | undefined {
    if (!(stored instanceof DamagedRecord)) return stored
    const user = maskUser(userOf(key))
    const reason = reasonOf(stored)
    this.options.log.error(`the stored devices of a user are damaged and ${consequence}`, { user, reason })
    return undefined
  }
}

/**
 * Users' records by Keyv, over a storage adapter that prefixes the keys itself: Keyv would put the namespace before them
 * twice. `get` rejects when the adapter does, and with DamagedRecord: Keyv alone takes a stored `null` for no value.
 */
export function keyvOver(store: KeyvOptions['store'], namespace: string): Keyv<UserRecord> {
  const deserialize = (text: string) => ({ value: decodeRecord(text) })
  return new Keyv<UserRecord>({
    store,
    namespace,
    useKeyPrefix: false,
    throwOnErrors: true,
    // Failures reject; an 'error' event without a listener would throw as well.
    emitErrors: false,
    serialize: JSON.stringify,
    deserialize: deserialize as NonNullable<KeyvOptions['deserialize']>,
  })
}

/** Names the user, and says how to go on. */
function damagedRecordOf([user = '', ...others]: readonly string[]): DamagedRecord {
  const more = others.length === 0 ? '' : ` and ${others.length} more`
  return new DamagedRecord(
    `the stored devices of ${JSON.stringify(user)} (key ${JSON.stringify(userKey(user))})${more} are damaged; ` +
      `a user's next registration replaces them`,
  )
}
