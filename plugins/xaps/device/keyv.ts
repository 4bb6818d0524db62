/** Keyv as this project uses it. Its defaults hide errors and put the namespace before keys twice. */

import { Keyv, type KeyvOptions } from 'keyv'
import { decodeRecord } from './codec.ts'
import type { UserRecord } from './device.ts'

/**
 * Users' records by Keyv, over a storage adapter that prefixes the keys itself. `get` rejects when the adapter does,
 * and with DamagedRecord: left to itself Keyv takes a stored `null` for nothing stored.
 */
export function keyvOver(store: KeyvOptions['store'], namespace: string): Keyv<UserRecord> {
  const deserialize = (text: string) => ({ value: decodeRecord(text) })
  return new Keyv<UserRecord>({
    store,
    namespace,
    useKeyPrefix: false,
    throwOnErrors: true,
    // What fails rejects; an 'error' event that nobody listens to would throw as well.
    emitErrors: false,
    serialize: JSON.stringify,
    deserialize: deserialize as NonNullable<KeyvOptions['deserialize']>,
  })
}
