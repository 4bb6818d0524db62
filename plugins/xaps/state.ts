/**
 * The directories that this host keeps on disk, of pending pushes, of the spool and of an LMDB store: where they are and to whom they belong.
 * All processes of an installation run as one user, to whom root gives what it makes for them. Knows nothing of what is in
 * the files.
 */

import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import path from 'node:path'
import { groupName, userName } from './base/accounts.ts'
import { parseStoreUri } from './base/store-uri.ts'
import { type Config, pathIn } from './config/config.ts'
import { readSmtpIni } from './config/ini.ts'
import { lmdbDirectory } from './device/lmdb/directory.ts'
import { isRoot, onlyRoots, Untrusted } from './process/only-root.ts'
import type { Owner } from './process/socket-owner.ts'

/** A directory of ours. */
export interface StateDirectory {
  readonly path: string
  readonly mode: number
  /** Names of the files in it; a directory with any other file in it is not ours. */
  readonly files: RegExp
}

const PRIVATE_MODE = 0o700

/** Those of LMDB, and the one file of an earlier version. */
const SPOOL_FILES = /^((data|lock)\.mdb|registrations\.jsonl)/

/** A process's journal, and one that is being written anew. */
const PENDING_FILES = /^\d+-\d+(-\d+)?\.(pending|draft)$/

/** Where registrations wait while the store is away. */
export function spoolDirectory(config: Config): string {
  return path.join(config.harakaDir, 'xaps-spool')
}

/** Makes the directory, for this process's user alone, where it is not there yet. */
export function preparePrivate(directory: string): void {
  fs.mkdirSync(directory, { recursive: true, mode: PRIVATE_MODE })
}

/** Whether anything has been kept there. */
export function isUsed(directory: string): boolean {
  return namesIn(directory).length > 0
}

/** Where each process keeps which users have pushes pending. */
export function pendingDirectory(config: Config): string {
  return path.join(config.harakaDir, 'xaps-pending')
}

function directoriesOf(config: Config): StateDirectory[] {
  const pending = { path: pendingDirectory(config), mode: PRIVATE_MODE, files: PENDING_FILES }
  const spool = { path: spoolDirectory(config), mode: PRIVATE_MODE, files: SPOOL_FILES }
  const place = parseStoreUri(config.store.uri)
  const store = place?.kind === 'lmdb' ? [lmdbDirectory(pathIn(config, place.directory))] : []
  return [pending, spool, ...store]
}

/**
 * The owner of the state: the user and group of smtp.ini, which Haraka drops to; where those are not set the owner of the
 * state's directory, or of the nearest one above that is there.
 */
export function stateOwner(config: Config): { readonly uid: number; readonly gid: number } {
  const { uid, gid } = readSmtpIni(config.harakaDir)
  const there = fs.statSync(nearestThere(directoriesOf(config).at(-1)?.path ?? config.harakaDir))
  return { uid: uid ?? there.uid, gid: gid ?? there.gid }
}

/** As root: makes the directories and gives them to `owner`. Does nothing as another user. Throws the system's errors. */
export function prepareState(config: Config, owner?: Owner): void {
  if (!isRoot()) return
  const { uid, gid } = owner ?? stateOwner(config)
  // A directory of root's own is made when it is needed.
  if (uid === undefined || uid === 0) return
  for (const directory of directoriesOf(config)) makeDirectory(directory, { uid, gid })
}

/**
 * For a process that is root: makes the directory, or takes one that is there, and gives it and the files in it to `uid`
 * and `gid` (undefined: unchanged). False, and nothing is done, where another user than root could lead root elsewhere, and
 * where other files are in the directory: then the process of that user makes it, or says what is wrong. Throws the system's
 * errors.
 */
export function makeDirectory(
  { path: directory, mode, files }: StateDirectory,
  { uid, gid }: { readonly uid: number; readonly gid: number | undefined },
): boolean {
  if (!isOnlyRoots(nearestThere(path.dirname(directory)))) return false
  fs.mkdirSync(path.dirname(directory), { recursive: true })
  if (!fs.lstatSync(directory, { throwIfNoEntry: false })) fs.mkdirSync(directory, 0o700)
  const fd = fs.openSync(
    directory,
    fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW,
  )
  try {
    const found = fs.fstatSync(fd)
    // A directory that is theirs already is theirs to arrange.
    if (found.uid === uid && found.gid === (gid ?? found.gid)) return true
    if (!fs.readdirSync(directory).every(name => files.test(name))) return false
    handOver(directory, fd, mode, uid, gid ?? -1)
    return true
  } finally {
    fs.closeSync(fd)
  }
}

/** Closes the directory to all others while its files change hands: a file that was looked at is the one that is changed. */
function handOver(directory: string, fd: number, mode: number, uid: number, gid: number): void {
  fs.fchownSync(fd, 0, 0)
  fs.fchmodSync(fd, 0o700)
  for (const name of fs.readdirSync(directory)) {
    const file = path.join(directory, name)
    const found = fs.lstatSync(file)
    if (found.isFile() && found.nlink === 1) fs.lchownSync(file, uid, gid)
  }
  fs.fchmodSync(fd, mode)
  fs.fchownSync(fd, uid, gid)
}

function isOnlyRoots(directory: string): boolean {
  try {
    onlyRoots(directory)
    return true
  } catch (error) {
    if (error instanceof Untrusted) return false
    throw error
  }
}

/** A word that is another one for another store: it tells whose companion answers. Has no secret in it. */
export function storeWord({ harakaDir, store: { uri, namespace } }: Config): string {
  const place = parseStoreUri(uri)
  const where =
    place?.kind === 'lmdb'
      ? realPath(path.resolve(harakaDir, place.directory))
      : [place?.servers, place?.database, place?.master]
  const digest = createHash('sha256')
    .update(JSON.stringify([where, namespace]))
    .digest('hex')
  // Begins with a letter: a reader of key=value takes it for no number.
  return `s${digest.slice(0, 8)}`
}

/** Without links, as far as it is there and may be seen. */
function realPath(file: string): string {
  try {
    return fs.realpathSync(file)
  } catch {
    const above = path.dirname(file)
    return above === file ? file : path.join(realPath(above), path.basename(file))
  }
}

/** The nearest that is there: `directory`, which is absolute, or one above it. */
function nearestThere(directory: string): string {
  return fs.existsSync(directory) ? directory : nearestThere(path.dirname(directory))
}

/** One sentence for each directory that this process cannot use because another user owns it, with what to do. */
export function foreignState(config: Config): string[] {
  return isRoot() ? [] : directoriesOf(config).flatMap(foreignIn)
}

function foreignIn({ path: directory, files }: StateDirectory): string[] {
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
