/** Directories that root makes for, or hands over to, the user that the others run as. */

import * as fs from 'node:fs'
import path from 'node:path'
import { onlyRoots, Untrusted } from '../process/only-root.ts'

export interface OwnDirectory {
  readonly path: string
  readonly mode: number
  /** The files of ours in it; with any other in it the directory is somebody else's. */
  readonly files: RegExp
}

/**
 * For a process that is root: makes the directory, or takes one that is there, and gives it and the files in it to `uid`
 * and `gid` (undefined: unchanged). False, and nothing is done, where somebody else than root could lead root elsewhere,
 * and where other files are in the directory: then whoever runs as that user makes it, or says what is wrong. Throws the
 * system's errors.
 */
export function makeOwnDirectory(
  { path: directory, mode, files }: OwnDirectory,
  { uid, gid }: { readonly uid: number | undefined; readonly gid: number | undefined },
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
    // What is theirs is theirs to arrange.
    if (found.uid === (uid ?? 0) && found.gid === (gid ?? found.gid)) return true
    if (!fs.readdirSync(directory).every(name => files.test(name))) return false
    handOver(directory, fd, mode, uid ?? -1, gid ?? -1)
    return true
  } finally {
    fs.closeSync(fd)
  }
}

/** Nobody else can enter the directory while its files change hands, so what is looked at is what is changed. */
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

/** The nearest that is there: `directory`, which is absolute, or one above it. */
export function nearestThere(directory: string): string {
  return fs.existsSync(directory) ? directory : nearestThere(path.dirname(directory))
}
