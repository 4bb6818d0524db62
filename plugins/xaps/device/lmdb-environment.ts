/** LMDB environments as this project opens and writes them. Knows nothing of what is in them. */

import path from 'node:path'
import { reasonOf } from '../log.ts'
import { within } from './deadline.ts'
import type { TextDatabase } from './lmdb-adapter.ts'
import { damageOf } from './lmdb-check.ts'
import type { LmdbFiles } from './lmdb-directory.ts'

/** How long LMDB may take to say why a commit failed, and to finish its work when closed; in milliseconds. */
const REASON_MS = 1_000
const CLOSE_MS = 2_000

/** The data file cannot be used, and opening it would end the process. */
export class DamagedFile extends Error {
  override name = 'DamagedFile'
}

/**
 * Opens the environment in `files`, which must be there (the data file may be empty). `noSync` leaves it to the system
 * when data reaches the disk. Rejects with DamagedFile, or with what LMDB says.
 */
export async function openEnvironment(
  files: LmdbFiles,
  options: { readonly readOnly?: boolean; readonly noSync?: boolean } = {},
): Promise<TextDatabase> {
  const damage = damageOf(files.data)
  if (damage !== undefined) throw new DamagedFile(`${files.data} is damaged: ${damage}`)
  const { open } = await import('lmdb')
  // In a directory LMDB calls the lock file lock.mdb, otherwise <data file>-lock.
  const inDirectory = path.basename(files.lock) === 'lock.mdb'
  return open<string, string>({
    path: inDirectory ? path.dirname(files.data) : files.data,
    noSubdir: !inDirectory,
    encoding: 'string',
    // A commit is then synced before it is acknowledged, and a sync that fails is a commit that fails.
    overlappingSync: false,
    ...options,
  })
}

/**
 * Runs `action` in a write transaction and resolves with its result once that is committed, and synced unless the
 * environment was opened with `noSync`. Another process's transaction is waited for outside the event loop, for `ms`
 * milliseconds at most; the transaction may still happen after that.
 */
export async function transact<T>(db: TextDatabase, ms: number, action: () => T): Promise<T> {
  try {
    return await within(ms, db.transaction(action))
  } catch (error) {
    throw await realReason(error)
  }
}

/** LMDB's "Commit failed" carries the reason as a promise of its own, which must not go unhandled. */
async function realReason(error: unknown): Promise<unknown> {
  const reason = error instanceof Error && 'commitError' in error ? error.commitError : undefined
  if (!(reason instanceof Promise)) return error
  try {
    await within(REASON_MS, reason)
    return error
  } catch (cause) {
    return new Error(`the commit failed: ${reasonOf(cause)}`)
  }
}

/** Closes the environment, waiting a bounded time for its transactions. */
export async function closeEnvironment(db: TextDatabase): Promise<void> {
  await within(CLOSE_MS, db.close())
}
