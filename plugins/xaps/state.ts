/**
 * What this host keeps on disk, the spool and an LMDB store, and whose it is. All processes of an installation run as one
 * user; what root does for them must be theirs. Knows nothing of what is in the files.
 */

import * as fs from 'node:fs'
import path from 'node:path'
import { groupName, userName } from './base/accounts.ts'
import { makeOwnDirectory, nearestThere, type OwnDirectory } from './base/own-directory.ts'
import type { Config } from './config/config.ts'
import { readSmtpIni } from './config/smtp-ini.ts'
import { lmdbDirectory } from './device/lmdb/directory.ts'
import { isRoot } from './process/only-root.ts'
import type { Owner } from './process/socket-owner.ts'

const SPOOL_MODE = 0o700

/** Those of LMDB, and the one file of an earlier version. */
const SPOOL_FILES = /^((data|lock)\.mdb|registrations\.jsonl)/

/** Where registrations wait while the store is away. */
export function spoolDirectory(config: Config): string {
  return path.join(config.harakaDir, 'xaps-spool')
}

/** Makes the directory, for this process's user alone, where it is not there yet. */
export function prepareSpool(directory: string): void {
  fs.mkdirSync(directory, { recursive: true, mode: SPOOL_MODE })
}

/** Whether anything has been kept there. */
export function isUsed(directory: string): boolean {
  return namesIn(directory).length > 0
}

function directoriesOf(config: Config): OwnDirectory[] {
  const spool = { path: spoolDirectory(config), mode: SPOOL_MODE, files: SPOOL_FILES }
  const lmdb = lmdbDirectory(config.store.uri, config.harakaDir)
  return lmdb === undefined ? [spool] : [spool, lmdb]
}

/**
 * Whose the state is: the user and group of smtp.ini, which Haraka drops to; where those are not set who owns the state's
 * directory, or the nearest one above that is there.
 */
export function stateOwner(config: Config): { readonly uid: number; readonly gid: number } {
  const { uid, gid } = readSmtpIni(config.harakaDir)
  const [directory] = directoriesOf(config).reverse()
  const there = fs.statSync(nearestThere(directory?.path ?? config.harakaDir))
  return { uid: uid ?? there.uid, gid: gid ?? there.gid }
}

/** As root: makes the directories and gives them to `owner`. Does nothing as another user. Throws the system's errors. */
export function prepareState(config: Config, owner?: Owner): void {
  if (!isRoot()) return
  const { uid, gid } = owner ?? stateOwner(config)
  // What is root's own root makes when it is needed.
  if (uid === undefined || uid === 0) return
  for (const directory of directoriesOf(config)) makeOwnDirectory(directory, { uid, gid })
}

/** What this process cannot use because it is somebody else's: one sentence each, with what to do. */
export function foreignState(config: Config): string[] {
  return isRoot() ? [] : directoriesOf(config).flatMap(foreignIn)
}

function foreignIn({ path: directory, files }: OwnDirectory): string[] {
  const ours = namesIn(directory).filter(name => files.test(name))
  const found = [directory, ...ours.map(name => path.join(directory, name))].find(isForeign)
  if (found === undefined) return []
  const { uid, gid } = fs.statSync(found)
  const me = `${userName(process.geteuid?.() ?? 0)}:${groupName(process.getegid?.() ?? 0)}`
  return [
    `${found} belongs to ${userName(uid)}:${groupName(gid)}, and this process, ${me}, may not write it: chown -R ${me} ${directory}`,
  ]
}

function namesIn(directory: string): string[] {
  try {
    return fs.readdirSync(directory)
  } catch {
    // Not there, or not to be read, which the look at the directory itself tells.
    return []
  }
}

function isForeign(file: string): boolean {
  const found = fs.statSync(file, { throwIfNoEntry: false })
  if (!found || found.uid === process.geteuid?.()) return false
  try {
    fs.accessSync(file, fs.constants.R_OK | fs.constants.W_OK)
    return false
  } catch {
    return true
  }
}
