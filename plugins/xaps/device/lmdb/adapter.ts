/** A Keyv storage adapter over an LMDB database of strings. Knows nothing of devices. */

import { newVersion, type TextDatabase } from './environment.ts'

type Batch = ReadonlyArray<readonly [key: string, text: string]>

/** How many entries are read in one go: a long read would keep LMDB from using free pages again. */
const BATCH = 256

/** What Keyv asks of a store, for keys without namespace and texts as Keyv serializes them. */
export interface LmdbAdapter {
  readonly namespace: string
  readonly opts: { readonly dialect: string; readonly url: string }
  get(key: string): Promise<string | undefined>
  set(key: string, text: string): Promise<boolean>
  delete(key: string): Promise<boolean>
  clear(): Promise<void>
  iterator(): AsyncGenerator<readonly [key: string, text: string]>
  /** Those that start with `prefix`, in batches of some hundreds; entries may change between two of them. */
  batches(prefix: string): AsyncGenerator<Batch>
  readonly db: TextDatabase
  /** The key as it is in the database. */
  fullKey(key: string): string
}

/** The key as it is in the database. */
export function lmdbKey(namespace: string, key: string): string {
  return `${namespace}::${key}`
}

/** Writes are acknowledged when LMDB has committed them. Every method rejects with LMDB's error. */
export function lmdbAdapter(db: TextDatabase, namespace: string): LmdbAdapter {
  const root = lmdbKey(namespace, '')
  const fullKey = (key: string) => root + key

  async function* batches(prefix: string): AsyncGenerator<Batch> {
    const first = fullKey(prefix)
    const end = successor(first)
    let start = first
    while (true) {
      const range = db.getRange({ start, end, exclusiveStart: start !== first, limit: BATCH })
      const batch = Array.from(range, ({ key, value }) => [key, value] as const)
      const last = batch.at(-1)
      if (!last) return
      start = last[0]
      yield batch.map(([key, text]) => [key.slice(root.length), text] as const)
    }
  }

  return {
    db,
    namespace,
    // Keyv offers its iterator only for dialects that it knows; none of them is LMDB.
    opts: { dialect: 'sqlite', url: '' },
    get: async key => db.get(fullKey(key)),
    set: (key, text) => db.put(fullKey(key), text, newVersion()),
    async delete(key) {
      const isThere = db.doesExist(fullKey(key))
      await db.remove(fullKey(key))
      return isThere
    },
    async clear() {
      for await (const batch of batches('')) await Promise.all(batch.map(([key]) => db.remove(fullKey(key))))
    },
    async *iterator() {
      for await (const batch of batches('')) yield* batch
    },
    batches,
    fullKey,
  }
}

/** The least string that is greater than all that start with `prefix`. */
function successor(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
}
