/**
 * The device store in an LMDB directory on local disk, for all processes of one host; each opens it for itself. Not for
 * network file systems: LMDB needs shared memory and real locks.
 */

import { existsSync } from 'node:fs'
import { reasonOf } from '../log.ts'
import { within } from './deadline.ts'
import { HostClaims } from './host-claims.ts'
import { type Backend, type KeyedStoreOptions, keyedStore } from './keyed-store.ts'
import { keyvOver } from './keyv.ts'
import { type LmdbAdapter, lmdbAdapter } from './lmdb-adapter.ts'
import { createStore, deviceFiles, isWritable, type LmdbFiles } from './lmdb-directory.ts'
import { cellsIn, closeEnvironment, DamagedFile, openEnvironment } from './lmdb-environment.ts'
import type { DeviceStore } from './store.ts'
import { recordCells } from './stored.ts'
import { swapper } from './swap.ts'

export interface LmdbStoreOptions extends KeyedStoreOptions {
  readonly directory: string
  readonly namespace: string
  /** How long a change may wait for other processes and for the disk, in milliseconds. */
  readonly deadlineMs?: number
}

/** Enough for a busy disk; whoever holds LMDB's lock for longer has been stopped. */
const DEADLINE_MS = 10_000

const HOW_TO_GO_ON =
  'Move the directory aside and start again: then `xaps import` takes what `xaps export` wrote before, ' +
  'and without that every phone registers again within a day.'

/**
 * Opens the store, creating it where there is none. One that this process may read but not write is opened, too, and
 * rejects changes. Rejects with an Error that says what to do when it cannot be created, cannot be read, or is damaged.
 */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<DeviceStore> {
  const { directory, namespace } = options
  const files = deviceFiles(directory)
  try {
    const readOnly = !isPrepared(directory, files)
    const adapter = lmdbAdapter(await openEnvironment(files, readOnly), namespace)
    return keyedStore(lmdbBackend(adapter, readOnly, options), options)
  } catch (error) {
    const advice = error instanceof DamagedFile ? `. ${HOW_TO_GO_ON}` : ''
    throw new Error(`the device store in ${directory} cannot be opened: ${reasonOf(error)}${advice}`)
  }
}

/** Creates what is missing. False when the store is there but this process may not write it. */
function isPrepared(directory: string, files: LmdbFiles): boolean {
  const isThere = existsSync(files.data) && existsSync(files.lock)
  if (!isThere) createStore(directory, files)
  return isWritable(files)
}

function lmdbBackend(adapter: LmdbAdapter, readOnly: boolean, options: LmdbStoreOptions): Backend {
  const { directory, namespace, clock, log, deadlineMs = DEADLINE_MS } = options
  const { db, fullKey } = adapter
  const swap = swapper(recordCells(cellsIn(db, fullKey)))
  const keyv = keyvOver(adapter, namespace)
  const claims = new HostClaims(directory, clock, log)
  const readOnlyReason = `the device store in ${directory} may only be read by this process`

  return {
    read: key => keyv.get(key),
    batches: adapter.batches,
    async change(key, change) {
      if (readOnly) throw new Error(readOnlyReason)
      try {
        await within(deadlineMs, swap(key, change, Date.now() + deadlineMs))
      } catch (error) {
        throw new Error(`the device store in ${directory} cannot be written`, { cause: error })
      }
    },
    claim: (key, request) => claims.claim(fullKey(key), request),
    async tidy() {
      db.readerCheck()
    },
    async warnings() {
      return readOnly ? [`${readOnlyReason}: registrations are refused`] : []
    },
    async close() {
      claims.close()
      await closeEnvironment(db)
    },
  }
}
