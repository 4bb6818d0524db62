/** Which device store a URI means. The only file that knows all of them; each loads its own library when it is opened. */

import path from 'node:path'
import { type Clock, systemClock } from '../base/clock.ts'
import { parseStoreUri, STORE_URIS } from '../base/store-uri.ts'
import { EMPTY_RECORD } from './device.ts'
import type { KeyedStore, KeyedStoreOptions } from './keyed-store.ts'
import type { EnvironmentOptions } from './lmdb/environment.ts'
import { LmdbStore } from './lmdb/store.ts'
import type { TlsFiles } from './redis/options.ts'
import { RedisStore } from './redis/store.ts'
import type { DeviceStore } from './store.ts'

export interface StoreOptions
  extends Omit<KeyedStoreOptions, 'clock'>,
    Omit<EnvironmentOptions, 'directory'>,
    TlsFiles {
  /** As base/store-uri.ts reads it. */
  readonly uri: string
  /** Relative paths start here. */
  readonly harakaDir: string
}

/**
 * The store that `uri` names, opened at its first use and, where that fails, again later: inside Haraka mail matters more
 * than a device store, and each process must open the store for itself, after it has dropped its privileges. Throws an
 * Error of one line when the URI is none of those.
 */
export function deviceStore(options: StoreOptions, clock: Clock = systemClock): KeyedStore {
  const { uri, harakaDir, ca = '', certificate = '', key = '', ...common } = options
  if (common.namespace === '') throw new Error('the namespace of the device store is empty')
  const place = parseStoreUri(uri)
  if (place?.kind === 'lmdb')
    return new LmdbStore({ ...common, directory: path.resolve(harakaDir, place.directory), clock })
  const file = (name: string) => (name === '' ? '' : path.resolve(harakaDir, name))
  const tls = { ca: file(ca), certificate: file(certificate), key: file(key) }
  if (place?.kind === 'redis') return new RedisStore({ ...common, ...tls, place, clock })
  throw new Error(`the URI of the device store must be ${STORE_URIS}`)
}

/** The same, opened at once. Rejects with an Error of one line when the URI is wrong, or the store does not answer. */
export async function openStore(options: StoreOptions, clock: Clock = systemClock): Promise<DeviceStore> {
  const store = deviceStore(options, clock)
  try {
    await store.warnings()
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Stands for a device store where none has been made yet: it has no devices and rejects every change. */
export const NO_STORE: DeviceStore = {
  devices: async () => [],
  came: async () => undefined,
  gone: async () => [],
  async update(_user, change) {
    if (change(EMPTY_RECORD) !== EMPTY_RECORD) throw new Error('there is no device store yet')
    return EMPTY_RECORD
  },
  claim: async () => ({ kind: 'granted', id: 0 }),
  lastPush: async () => undefined,
  async *users() {
    // There are none.
  },
  sweep: async () => 0,
  warnings: async () => [],
  onReady: () => undefined,
  close: async () => undefined,
}
