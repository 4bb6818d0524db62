/**
 * Which device store a URI means, and when it is opened. The only file that knows all of them; each loads its own
 * library when it is opened.
 */

import path from 'node:path'
import { parseStoreUri, STORE_URIS } from '../base/addresses.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { EMPTY_RECORD } from './device.ts'
import { openLmdbStore } from './lmdb/store.ts'
import { openRedisStore } from './redis/store.ts'
import type { DeviceStore } from './store.ts'

export interface OpenStoreOptions {
  /** `lmdb:PATH`, `redis://…` or `rediss://…`. */
  readonly uri: string
  /** What all keys in the store start with. */
  readonly namespace: string
  /** Devices not seen for so long, in milliseconds, count as gone. */
  readonly expireAfterMs: number
  /** What a relative PATH starts from. */
  readonly harakaDir: string
  /** Create no store where there is none: reject with NoStoreYet. */
  readonly mustExist?: boolean
  readonly log: Log
}

/**
 * Opens the store that `uri` names. Rejects with an Error of one line when the URI is none of those, when an LMDB store
 * cannot be opened, or when a Redis is one of a cluster or a sentinel; one that is away makes the operations reject.
 */
export async function openStore(options: OpenStoreOptions, clock: Clock = systemClock): Promise<DeviceStore> {
  const { uri, harakaDir, ...common } = options
  if (common.namespace === '') throw new Error('the namespace of the device store is empty')
  const place = parseStoreUri(uri)
  if (place?.kind === 'lmdb')
    return openLmdbStore({ ...common, directory: path.resolve(harakaDir, place.directory), clock })
  if (place?.kind === 'redis') return openRedisStore({ ...common, uri, clock })
  throw new Error(`the URI of the device store must be ${STORE_URIS}`)
}

/** After a failure to open, how long callers get the same error before it is tried again. */
const TRY_AGAIN_MS = 5_000

/**
 * A store that is opened at its first use and, where that fails, again later: inside Haraka mail matters more than
 * a device store, and each process must open the store for itself, after it has dropped its privileges.
 */
export function deferStore(open: () => Promise<DeviceStore>, clock: Clock = systemClock): DeviceStore {
  let opened: DeviceStore | undefined
  let opening: Promise<DeviceStore> | undefined
  let failedAt = 0
  const listeners: (() => void)[] = []
  const openOnce = (): Promise<DeviceStore> => {
    if (failedAt > 0 && clock.now() - failedAt >= TRY_AGAIN_MS) opening = undefined
    opening ??= open().then(
      store => {
        opened = store
        for (const listener of listeners) {
          store.onReady(listener)
          if (failedAt > 0) listener()
        }
        failedAt = 0
        return store
      },
      error => {
        failedAt = clock.now()
        throw error
      },
    )
    return opening
  }
  const using = <T>(work: (store: DeviceStore) => Promise<T>): Promise<T> =>
    opened ? work(opened) : openOnce().then(work)
  return {
    devices: user => using(store => store.devices(user)),
    update: (user, change) => using(store => store.update(user, change)),
    claim: (push, request) => using(store => store.claim(push, request)),
    users: async function* () {
      yield* (await openOnce()).users()
    },
    sweep: () => using(store => store.sweep()),
    warnings: () => using(store => store.warnings()),
    onReady(listener) {
      listeners.push(listener)
      opened?.onReady(listener)
    },
    async close() {
      // A store that could not be opened has told its callers so, and leaves nothing to close.
      const store = await opening?.catch(() => undefined)
      await store?.close()
    },
  }
}

/** Stands for a device store where none has been made yet: it has no devices and rejects every change. */
export const NO_STORE: DeviceStore = {
  devices: async () => [],
  async update(_user, change) {
    if (change(EMPTY_RECORD) !== EMPTY_RECORD) throw new Error('there is no device store yet')
    return EMPTY_RECORD
  },
  claim: async () => ({ kind: 'granted', id: 0 }),
  async *users() {
    // There are none.
  },
  sweep: async () => 0,
  warnings: async () => [],
  onReady: () => undefined,
  close: async () => undefined,
}
