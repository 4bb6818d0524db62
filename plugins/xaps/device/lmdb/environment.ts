/**
 * An LMDB environment that holds users' records, as this project opens, reads, changes and closes it: for reading only
 * where it may not, or cannot at the moment, be written.
 */

import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Keyv, KeyvOptions } from 'keyv'
import type { RootDatabase } from 'lmdb'
import { within } from '../../base/deadline.ts'
import { reasonOf } from '../../base/log.ts'
import { encodeRecord, fullKey, type Stored, storedIn, USER_PREFIX } from '../codec.ts'
import { type CompareAndSet, compareAndSetOver, type Entries } from '../compare-and-set.ts'
import type { UserRecord } from '../device.ts'
import { type Batch, keyvOver } from '../keyed-store.ts'
import { NoStoreYet } from '../store.ts'
import { checkFile, DamagedFile, LockedFile } from './check.ts'
import { createStore, deviceFiles, identityOf, isWritable, type LmdbFiles } from './directory.ts'

export type TextDatabase = RootDatabase<string, string>

export interface EnvironmentOptions {
  readonly directory: string
  readonly namespace: string
  /** Create no store where there is none: reject with NoStoreYet. */
  readonly mustExist?: boolean
  /** Called before each opening. An Error from it is the reason why the store cannot be opened. */
  readonly prepare?: () => void
}

export interface Environment {
  /** By identityOf, from before the files were opened: a file replaced since then is noticed. */
  readonly identity: Readonly<Record<keyof LmdbFiles, string | undefined>>
  /** Why it can only be read; undefined when it can be written. */
  readonly readOnly: string | undefined
  readonly db: TextDatabase
  readonly keyv: Keyv<UserRecord>
  readonly compareAndSet: CompareAndSet<Stored>
}

const HOW_TO_GO_ON =
  'Move the directory aside and start again: then `xaps import` takes what `xaps export` wrote before, ' +
  'and without that every phone registers again within a day.'

/** How many entries are read in one go: a long read would keep LMDB from using free pages again. */
const BATCH = 256

/** How long LMDB may take to say why a commit failed, in milliseconds. */
const REASON_MS = 1_000

/**
 * Opens the store's environment, creating its files where they are missing. Rejects with NoStoreYet, or with an Error
 * that says how to go on when it cannot be created, cannot be read, or is damaged.
 */
export async function openEnvironment(options: EnvironmentOptions): Promise<Environment> {
  const { directory, namespace, mustExist, prepare } = options
  const files = deviceFiles(directory)
  if (mustExist && !existsSync(files.data))
    throw new NoStoreYet(`no device store in ${directory} yet; it is made when the first phone registers`)
  try {
    prepare?.()
    if (!existsSync(files.data) || !existsSync(files.lock)) createStore(directory, files)
    const identity = { data: identityOf(files.data), lock: identityOf(files.lock) }
    const readOnly = await checkAccess(directory, files)
    const db = await openDatabase(files, readOnly !== undefined)
    const keyv = keyvOver(keyvAdapter(db, namespace), namespace)
    return { identity, readOnly, db, keyv, compareAndSet: compareAndSetOver(entriesIn(db, namespace)) }
  } catch (error) {
    const advice = error instanceof DamagedFile ? `. ${HOW_TO_GO_ON}` : ''
    throw new Error(`the device store in ${directory} cannot be opened: ${reasonOf(error)}${advice}`)
  }
}

/**
 * Whether the data file is sound, and why the store can only be read; undefined when it can be written. Rejects as
 * checkFile does.
 */
async function checkAccess(directory: string, files: LmdbFiles): Promise<string | undefined> {
  const name = `the device store in ${directory}`
  const readOnly = isWritable(files) ? undefined : `${name} may only be read by this process`
  try {
    await checkFile(files, readOnly !== undefined)
    return readOnly
  } catch (error) {
    if (!(error instanceof LockedFile)) throw error
    await checkFile(files, true)
    return `${name} cannot be written: ${reasonOf(error)}`
  }
}

/** Opens the database in `files`, which must be there and sound (the data file may be empty). */
export async function openDatabase(files: LmdbFiles, readOnly = false): Promise<TextDatabase> {
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
 * The records in a database as entries. LMDB compares the versions in its own thread, which has the write lock for the
 * commit alone. (Its `transaction(callback)` would wait for this process's event loop with the lock in its hands, stop
 * all other processes meanwhile, and when the process exits just then never end.)
 */
function entriesIn(db: TextDatabase, namespace: string): Entries<Stored, number | null> {
  return {
    async load(key) {
      // Otherwise it would see the state at which this turn of the event loop began.
      db.resetReadTxn()
      const entry = db.getEntry(fullKey(namespace, key))
      // LMDB takes null, which its types leave out, for "no key".
      return { value: storedIn(entry?.value), version: entry?.version ?? null }
    },
    async replace(key, version, stored) {
      const text = encodeRecord(stored)
      const full = fullKey(namespace, key)
      // The new version was never used before under the same key, in any process.
      if (text !== undefined) return committed(db.put(full, text, Math.random(), version as number))
      return version === null || committed(db.remove(full, version))
    },
  }
}

/** A storage adapter as Keyv asks for it. This project reads through it; changes go through entriesIn. */
function keyvAdapter(db: TextDatabase, namespace: string): KeyvOptions['store'] {
  const unused = () => Promise.reject(new Error('a device store is changed by compare-and-set only'))
  return { get: (key: string) => db.get(fullKey(namespace, key)), set: unused, delete: unused, clear: unused }
}

/** The users' records, in batches of some hundreds; entries may change between two of them. */
export async function* batchesIn(db: TextDatabase, namespace: string): AsyncGenerator<Batch> {
  const root = fullKey(namespace, '')
  const prefix = root + USER_PREFIX
  // The least string that is greater than all that start with the prefix.
  const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
  let start = prefix
  while (true) {
    const range = db.getRange({ start, end, exclusiveStart: start !== prefix, limit: BATCH })
    const batch = Array.from(range, ({ key, value }) => [key.slice(root.length), value] as const)
    const last = batch.at(-1)
    if (!last) return
    start = root + last[0]
    yield batch
  }
}

/** Waits for a write. LMDB's "Commit failed" carries the reason as a promise of its own, which must be handled, too. */
async function committed(write: Promise<boolean>): Promise<boolean> {
  try {
    return await write
  } catch (error) {
    const { commitError = Promise.reject(error) } = error as { commitError?: Promise<unknown> }
    const reason = await within(commitError, REASON_MS, 'LMDB').then(() => reasonOf(error), reasonOf)
    throw new Error(`the commit failed: ${reason}`)
  }
}
