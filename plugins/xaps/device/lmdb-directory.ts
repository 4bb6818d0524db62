/**
 * The directory of an LMDB store and the files in it: who may use them. Haraka's user and the companion's may differ
 * and then share a group, so directory and files are open to owner and group whatever the umask, and to nobody else.
 * Knows nothing of what is in the files.
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

/** The files of this project in such a directory; others in it are nobody's business here. */
const OUR_FILES = /^((data|lock)\.mdb|claims-\d+\.log)$/

/** The two files of one LMDB environment. */
export interface LmdbFiles {
  readonly data: string
  readonly lock: string
}

/** The environment of the users' devices, with the names that LMDB itself gives in a directory. */
export function deviceFiles(directory: string): LmdbFiles {
  return { data: path.join(directory, 'data.mdb'), lock: path.join(directory, 'lock.mdb') }
}

/** Creates the directory (and its parents) and the files where they are not there yet. Throws the system's errors. */
export function createStore(directory: string, files: LmdbFiles): void {
  fs.mkdirSync(path.dirname(directory), { recursive: true })
  unlessExists(() => {
    fs.mkdirSync(directory, DIRECTORY_MODE)
    fs.chmodSync(directory, DIRECTORY_MODE)
  })
  createFile(files.data, 0)
  createFile(files.lock, LOCK_BYTES)
}

/**
 * Creates a file of the store, of so many zero bytes, unless it is there. It appears under its name only when it is
 * complete: another process opens it the moment it is there. Throws the system's errors.
 */
export function createFile(file: string, bytes: number): void {
  if (fs.existsSync(file)) return
  const draft = `${file}.${randomUUID()}`
  const fd = fs.openSync(draft, 'w', FILE_MODE)
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
 * A file belongs to whom the directory belongs to, as far as this process may arrange that: root may (an operator's
 * command must not lock Haraka out), others may give it to a group that they are in.
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

/**
 * Hands the directory and the store's files in it to a user and group; for a process that is root still. What is a link
 * is left alone: nobody who can write there may point root at a file of another's.
 */
export function ownStore(directory: string, uid: number, gid: number): void {
  own(directory, uid, gid)
  for (const name of fs.readdirSync(directory)) {
    if (OUR_FILES.test(name)) own(path.join(directory, name), uid, gid)
  }
}

/** By name, not by descriptor: to close one of a lock file would give up LMDB's locks on it in this process. */
function own(name: string, uid: number, gid: number): void {
  const found = fs.lstatSync(name)
  if (found.isDirectory() || (found.isFile() && found.nlink === 1)) fs.lchownSync(name, uid, gid)
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

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
