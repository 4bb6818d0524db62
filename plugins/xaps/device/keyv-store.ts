/**
 * The DeviceStore over Keyv: one key per user, read by Keyv's get and changed by what the backend has for an atomic
 * change of one key. Knows neither LMDB nor Redis.
 */

import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../base/clock.ts'
import { type Log, maskUser, reasonOf } from '../base/log.ts'
import { DamagedRecord, pushKey, type Stored, storedIn, USER_PREFIX, userKey, userOf } from './codec.ts'
import type { Change } from './compare-and-set.ts'
import { EMPTY_RECORD, type UserRecord } from './device.ts'
import { withoutExpired } from './record.ts'
import type { Claim, ClaimRequest, DeviceStore } from './store.ts'

/** What a store of keys and texts must do beyond Keyv. Keys are without the namespace. */
export interface Backend {
  /** The record under `key` by Keyv's get: one lookup. Rejects with DamagedRecord, too. */
  read(key: string): Promise<UserRecord | undefined>
  /**
   * Replaces what is under `key` by what `change` makes of it, atomically over all processes, and resolves when it is
   * safely stored. What `change` got, given back, means no change. `change` may run several times.
   */
  change(key: string, change: Change<Stored>): Promise<void>
  /** Keys that start with `prefix` and their texts, some hundreds at a time. */
  batches(prefix: string): AsyncIterable<ReadonlyArray<readonly [key: string, text: string]>>
  /** Claims a push; `key` is its key in the store. */
  claim(key: string, request: ClaimRequest): Promise<Claim>
  /** Drops what is of no use any more beside the users' records. */
  tidy(): Promise<void>
  warnings(): Promise<readonly string[]>
  /** Calls `listener` whenever what keeps the bytes answers again. */
  onReady(listener: () => void): void
  close(): Promise<void>
}

export interface KeyedStoreOptions {
  /** Devices not seen for so long, in milliseconds, count as gone. */
  readonly expireAfterMs: number
  readonly log: Log
  readonly clock: Clock
}

/** Makes a DeviceStore of a backend. */
export function keyedStore(backend: Backend, options: KeyedStoreOptions): DeviceStore {
  const { expireAfterMs, log, clock } = options
  const current = (record: UserRecord) => withoutExpired(record, clock.now(), expireAfterMs)

  /** The record, or undefined when it is damaged, which is logged. */
  function readable(stored: Stored, consequence: string, key: string): UserRecord | undefined {
    if (!(stored instanceof DamagedRecord)) return stored
    const user = maskUser(userOf(key))
    const reason = reasonOf(stored)
    log.error(`the stored devices of a user are damaged and ${consequence}`, { user, reason })
    return undefined
  }

  /** Writes the record under `key` without what has expired; resolves with how many devices that were. */
  async function dropExpired(key: string): Promise<number> {
    let dropped = 0
    await backend.change(key, stored => {
      const record = readable(stored, 'left as they are', key)
      const kept = record && current(record)
      dropped = record && kept ? record.devices.length - kept.devices.length : 0
      return kept ?? stored
    })
    return dropped
  }

  function hasExpired([key, text]: readonly [string, string]): boolean {
    const record = readable(storedIn(text), 'left as they are', key)
    return record !== undefined && current(record) !== record
  }

  return {
    async devices(user) {
      const key = userKey(user)
      try {
        const record = await backend.read(key)
        return record ? current(record).devices : []
      } catch (error) {
        throw withOwner(error, user)
      }
    },

    async update(user, change) {
      const key = userKey(user)
      let result: UserRecord = EMPTY_RECORD
      await backend.change(key, stored => {
        // A damaged record gives way to the next registration: refusing that would shut the user out for good.
        const known = readable(stored, 'replaced', key)
        const record = current(known ?? EMPTY_RECORD)
        result = change(record)
        return known && result === record ? stored : result
      })
      return result
    },

    async claim(push, request) {
      return backend.claim(pushKey(push), request)
    },

    async *users() {
      const damaged: string[] = []
      for await (const batch of backend.batches(USER_PREFIX)) {
        for (const [key, text] of batch) {
          const user = userOf(key)
          const record = readable(storedIn(text), 'passed over', key)
          const devices = record ? current(record).devices : []
          if (!record) damaged.push(user)
          if (devices.length > 0) yield [user, devices] as const
        }
      }
      if (damaged.length > 0) throw damagedRecordOf(damaged)
    },

    async sweep() {
      let removed = 0
      for await (const batch of backend.batches(USER_PREFIX)) {
        const counts = await Promise.all(batch.filter(hasExpired).map(([key]) => dropExpired(key)))
        removed += counts.reduce((sum, count) => sum + count, 0)
        await setImmediate()
      }
      await backend.tidy()
      return removed
    },

    warnings: () => backend.warnings(),
    onReady: listener => backend.onReady(listener),
    close: () => backend.close(),
  }
}

/** The error; one of a damaged record says whose it is, and what to do about it. */
function withOwner(error: unknown, user: string): unknown {
  return error instanceof DamagedRecord ? damagedRecordOf([user]) : error
}

function damagedRecordOf([user = '', ...others]: readonly string[]): DamagedRecord {
  const more = others.length === 0 ? '' : ` and ${others.length} more`
  return new DamagedRecord(
    `the stored devices of ${JSON.stringify(user)} (key ${JSON.stringify(userKey(user))})${more} are damaged; ` +
      `a user's next registration replaces them`,
  )
}
