/** LMDB environments as this project opens, writes and closes them. Knows nothing of what is in them. */

import path from 'node:path'
import type { KeyvOptions } from 'keyv'
import type { RootDatabase } from 'lmdb'
import { within } from '../../base/deadline.ts'
import { reasonOf } from '../../base/log.ts'
import type { Entries } from '../compare-and-set.ts'
import { checkFile } from './check.ts'
import type { LmdbFiles } from './directory.ts'

export type TextDatabase = RootDatabase<string, string>
type TextEntries = Entries<string | undefined, number | null>

type Batch = ReadonlyArray<readonly [key: string, text: string]>

/** How many entries are read in one go: a long read would keep LMDB from using free pages again. */
const BATCH = 256

/** How long LMDB may take to say why a commit failed, in milliseconds. */
const REASON_MS = 1_000

/**
 * Opens the environment in `files`, which must be there (the data file may be empty). Rejects as
 * checkFile does, and with what LMDB says.
 */
export async function openEnvironment(files: LmdbFiles, readOnly = false): Promise<TextDatabase> {
  await checkFile(files, readOnly)
  const { open } = await import('lmdb')
  return open<string, string>({
    path: path.dirname(files.data),
    noSubdir: false,
    readOnly,
    encoding: 'string',
    useVersions: true,
    // A commit is then synced before it is acknowledged, and a sync that fails is a commit that fails.
    overlappingSync: false,
    // Batching by event turn makes a promise per batch that is never handled: a failing commit would end the process.
    eventTurnBatching: false,
  })
}

/**
 * The texts in a database as entries. LMDB compares the versions in its own thread, which has the write lock for the
 * commit alone. (Its `transaction(callback)` would wait for this process's event loop with the lock in its hands, stop
 * all other processes meanwhile, and when the process exits just then never end.)
 */
export function entriesIn(db: TextDatabase, fullKey: (key: string) => string): TextEntries {
  return {
    async load(key) {
      // It would see what was there when this turn of the event loop began.
      db.resetReadTxn()
      const entry = db.getEntry(fullKey(key))
      return { value: entry?.value, version: entry?.version ?? null }
    },
    async replace(key, version, text) {
      if (text !== undefined) return committed(db.put(fullKey(key), text, newVersion(), version as number))
      return version === null || committed(db.remove(fullKey(key), version))
    },
  }
}

/** What Keyv asks of a storage adapter. This project reads through it; changes go through entriesIn. */
export function keyvAdapter(db: TextDatabase, fullKey: (key: string) => string): KeyvOptions['store'] {
  return {
    get: (key: string) => db.get(fullKey(key)),
    set: (key: string, text: string) => db.put(fullKey(key), text, newVersion()),
    delete: (key: string) => db.remove(fullKey(key)),
    clear: () => Promise.reject(new Error('a device store is not cleared')),
  }
}

/** Those that start with `prefix`, in batches of some hundreds; entries may change between two of them. */
export async function* batchesIn(db: TextDatabase, prefix: string): AsyncGenerator<Batch> {
  const end = successor(prefix)
  let start = prefix
  while (true) {
    const range = db.getRange({ start, end, exclusiveStart: start !== prefix, limit: BATCH })
    const batch = Array.from(range, ({ key, value }) => [key, value] as const)
    const last = batch.at(-1)
    if (!last) return
    start = last[0]
    yield batch
  }
}

/** The least string that is greater than all that start with `prefix`. */
function successor(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
}

/** Never used before under the same key, in any process. (LMDB takes null, which its types leave out, for "no key".) */
function newVersion(): number {
  return Math.random()
}

/** Waits for a write. LMDB's "Commit failed" carries the reason as a promise of its own, which must be handled, too. */
async function committed(write: Promise<boolean>): Promise<boolean> {
  try {
    return await write
  } catch (error) {
    throw new Error(`the commit failed: ${await reasonOfCommit(error)}`)
  }
}

async function reasonOfCommit(error: unknown): Promise<string> {
  const reason = error instanceof Error && 'commitError' in error ? error.commitError : undefined
  if (!(reason instanceof Promise)) return reasonOf(error)
  return within(reason, REASON_MS, 'LMDB').then(() => reasonOf(error), reasonOf)
}
