/** Keyv as this project uses it. Its defaults hide errors and put the namespace before keys twice. */

import { Keyv, type KeyvOptions } from 'keyv'
import { parseJson } from './stored.ts'

/** Keyv over a storage adapter which prefixes the keys itself. Its methods reject when the adapter's do. */
export function keyvOver(store: KeyvOptions['store'], namespace: string): Keyv {
  return new Keyv({
    store,
    namespace,
    useKeyPrefix: false,
    throwOnErrors: true,
    // What fails rejects; an 'error' event that nobody listens to would throw as well.
    emitErrors: false,
    serialize: JSON.stringify,
    deserialize: parseJson as NonNullable<KeyvOptions['deserialize']>,
  })
}
