/**
 * The directory of an LMDB store and the files in it, with their owner, group and mode. Haraka's user and the
 * companion's may differ and then share a group, so directory and files are open to owner and group only, whatever the
 * umask. Knows nothing of their content.
 */

import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import path from 'node:path'

const DIRECTORY_MODE = 0o770
const FILE_MODE = 0o660

/**
 * The size that LMDB gives its lock file (a header and 126 readers). It is written out here, because LMDB only sets the
 * length and maps it: on a full disk the first access would kill the process with SIGBUS.
 */
const LOCK_BYTES = 8272

/** The files of this project in such a directory, unfinished ones included. */
const OUR_FILES = /^((data|lock)\.mdb|claims-\d+\.log)/

/** The two files of one LMDB environment. */
export interface LmdbFiles {
  readonly data: string
  readonly lock: string
}

/** The directory of a store, for the process that prepares it for others. */
export function lmdbDirectory(directory: string) {
  return { path: directory, mode: DIRECTORY_MODE, files: OUR_FILES }
}

/** The environment of the users' devices, with the names that LMDB itself gives in a directory. */
export function deviceFiles(directory: string): LmdbFiles {
  return { data: path.join(directory, 'data.mdb'), lock: path.join(directory, 'lock.mdb') }
}

/**
 * Creates the directory (and its parents) and the files where they are not there yet. They belong to the owner of
 * the directory above when root creates them. Throws the system's errors.
 */
export function createStore(directory: string, files: LmdbFiles): void {
  fs.mkdirSync(path.dirname(directory), { recursive: true })
  unlessExists(() => {
    fs.mkdirSync(directory, 0o700)
    setOwnerAndMode(directory)
  })
  createFile(files.data, 0)
  createFile(files.lock, LOCK_BYTES)
}

function setOwnerAndMode(directory: string): void {
  const fd = fs.openSync(directory, fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW)
  try {
    fs.fchmodSync(fd, DIRECTORY_MODE)
    const { uid, gid } = fs.statSync(path.dirname(directory))
    if (process.geteuid?.() === 0) fs.fchownSync(fd, uid, gid)
  } finally {
    fs.closeSync(fd)
  }
}

/**
 * Creates a file of the store, of so many zero bytes, unless it is there. It appears under its name only when it is
 * complete: another process opens it the moment it is there. Throws the system's errors.
 */
export function createFile(file: string, bytes: number): void {
  if (fs.existsSync(file)) return
  const draft = `${file}.${randomUUID()}`
  const fd = fs.openSync(draft, 'wx', FILE_MODE)
  try {
    fs.fchmodSync(fd, FILE_MODE)
    adoptOwner(fd, path.dirname(file))
    fs.writeSync(fd, Buffer.alloc(bytes))
    unlessExists(() => fs.linkSync(draft, file))
  } finally {
    fs.closeSync(fd)
    fs.rmSync(draft, { force: true })
  }
}

function unlessExists(create: () => void): void {
  try {
    create()
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}

/**
 * A file gets the directory's owner and group as far as this process may arrange that: root may (an operator's command
 * must not lock Haraka out), other users may give it to a group that they are in.
 */
function adoptOwner(fd: number, directory: string): void {
  const file = fs.fstatSync(fd)
  const shared = fs.statSync(directory)
  const uid = file.uid === 0 ? shared.uid : file.uid
  if (file.uid === uid && file.gid === shared.gid) return
  try {
    fs.fchownSync(fd, uid, shared.gid)
  } catch (error) {
    if (codeOf(error) !== 'EPERM') throw error
  }
}

/** Whether this process may write the store. Throws when it may not even read it. */
export function isWritable({ data, lock }: LmdbFiles): boolean {
  fs.closeSync(fs.openSync(data, 'r'))
  try {
    fs.accessSync(lock, fs.constants.R_OK | fs.constants.W_OK)
    fs.closeSync(fs.openSync(data, 'r+'))
    return true
  } catch {
    return false
  }
}

/** Device and inode. Undefined for a file that is missing, or cannot be seen: opening it will say why. */
export function identityOf(file: string): string | undefined {
  try {
    const { dev, ino } = fs.statSync(file)
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
