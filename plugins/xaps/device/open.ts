/** Which device store a URI means. The only file that knows all of them; each loads its own library when it is opened. */

import path from 'node:path'
import { type Clock, systemClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { parseStoreUri, STORE_URIS } from '../base/store-uri.ts'
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
