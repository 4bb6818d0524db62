/**
 * The device store in an LMDB directory on local disk, for all processes of one host; each opens it for itself. Not for
 * network file systems: LMDB needs shared memory and real locks.
 */

import { existsSync, statfsSync } from 'node:fs'
import type { Keyv } from 'keyv'
import { within } from '../../base/deadline.ts'
import { reasonOf } from '../../base/log.ts'
import { keyvOver, recordEntries, type Stored } from '../codec.ts'
import { type Change, compareAndSetOver } from '../compare-and-set.ts'
import type { UserRecord } from '../device.ts'
import { type Backend, type KeyedStoreOptions, keyedStore } from '../keyv-store.ts'
import { type DeviceStore, NoStoreYet } from '../store.ts'
import { DamagedFile, LockedFile } from './check.ts'
import { HostClaims } from './claims.ts'
import { createStore, deviceFiles, isWritable, type LmdbFiles } from './directory.ts'
import { batchesIn, entriesIn, keyvAdapter, openEnvironment, type TextDatabase } from './environment.ts'
import { type Environment, identityOf, KeptOpen } from './kept-open.ts'
import { makeCheckRoom } from './room.ts'

export interface LmdbStoreOptions extends KeyedStoreOptions {
  readonly directory: string
  readonly namespace: string
  /** How long a change may wait for other processes and for the disk, in milliseconds. */
  readonly deadlineMs?: number
  /** Create no store where there is none: reject with NoStoreYet. */
  readonly mustExist?: boolean
}

/** Enough for a busy disk; a process that holds LMDB's lock for longer has been stopped. */
const DEADLINE_MS = 10_000

const HOW_TO_GO_ON =
  'Move the directory aside and start again: then `xaps import` takes what `xaps export` wrote before, ' +
  'and without that every phone registers again within a day.'

/** The environment with what the store does with it. */
interface Opened extends Environment {
  readonly db: TextDatabase
  readonly keyv: Keyv<UserRecord>
  compareAndSet(key: string, change: Change<Stored>, until: number): Promise<void>
}

/**
 * Opens the store, creating it where there is none. One that this process may read but not write is opened, too, and
 * rejects changes until it may be written. Rejects with an Error that says what to do when it cannot be created, cannot
 * be read, or is damaged. Once open it stays so: what becomes of its files is seen to.
 */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<DeviceStore> {
  const { directory, log, clock } = options
  const kept = new KeptOpen(deviceFiles(directory), () => openFiles(options), log, clock)
  try {
    await kept.toRead()
  } catch (error) {
    await kept.close()
    throw error
  }
  return keyedStore(lmdbBackend(kept, options), options)
}

async function openFiles({ directory, namespace, mustExist }: LmdbStoreOptions): Promise<Opened> {
  const files = deviceFiles(directory)
  if (mustExist && !existsSync(files.data))
    throw new NoStoreYet(`no device store in ${directory} yet; it is made when the first phone registers`)
  try {
    const mayWrite = isPrepared(directory, files)
    const reason = mayWrite ? undefined : `the device store in ${directory} may only be read by this process`
    return await openAs(reason, files, namespace).catch(error => {
      if (!(error instanceof LockedFile)) throw error
      return openAs(
        `the device store in ${directory} cannot be written: ${reasonOf(error)}`,
        files,
        namespace,
      )
    })
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

async function openAs(readOnly: string | undefined, files: LmdbFiles, namespace: string): Promise<Opened> {
  const identity = identityOf(files)
  const db = await openEnvironment(files, readOnly !== undefined)
  const fullKey = (key: string) => lmdbKey(namespace, key)
  return {
    identity,
    readOnly,
    db,
    keyv: keyvOver(keyvAdapter(db, fullKey), namespace),
    compareAndSet: compareAndSetOver(recordEntries(entriesIn(db, fullKey))),
    close: () => db.close(),
  }
}

/** The key as it is in the database. */
function lmdbKey(namespace: string, key: string): string {
  return `${namespace}::${key}`
}

function lmdbBackend(kept: KeptOpen<Opened>, options: LmdbStoreOptions): Backend {
  const { directory, namespace, clock, log, deadlineMs = DEADLINE_MS } = options
  const claims = new HostClaims(directory, clock, log)
  const checkRoom = makeCheckRoom(() => statfsSync(directory))
  let changing = 0

  return {
    read: key => kept.now?.keyv.get(key) ?? kept.toRead().then(({ keyv }) => keyv.get(key)),
    async *batches(prefix) {
      const { db } = await kept.toRead()
      const root = lmdbKey(namespace, '')
      for await (const batch of batchesIn(db, root + prefix))
        yield batch.map(([key, text]) => [key.slice(root.length), text] as const)
    },
    change(key, change) {
      const until = Date.now() + deadlineMs
      return kept.write(async ({ compareAndSet }) => {
        changing += 1
        try {
          checkRoom(changing)
          await within(compareAndSet(key, change, until), deadlineMs, 'LMDB')
        } catch (error) {
          throw new Error(`the device store in ${directory} cannot be written`, { cause: error })
        } finally {
          changing -= 1
        }
      })
    },
    claim: (key, request) => claims.claim(lmdbKey(namespace, key), request),
    async tidy() {
      ;(await kept.toRead()).db.readerCheck()
    },
    async warnings() {
      const { readOnly } = await kept.toRead()
      return readOnly === undefined ? [] : [`${readOnly}: registrations wait in the spool until it can be`]
    },
    // Files do not come back: what fails is tried again at its next use.
    onReady: () => undefined,
    async close() {
      claims.close()
      await kept.close()
    },
  }
}
