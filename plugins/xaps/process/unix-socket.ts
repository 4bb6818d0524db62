/**
 * A Unix socket at a path that others know, with mode and owner right before a client can connect: it is made in a
 * directory that no other user can enter, and renamed to its path. The rename also replaces what a process that
 * was killed left behind, without a moment in which there is no socket.
 *
 * The directory is Dovecot's as a rule: it is never made here and never changed. Root works in one only where no other user
 * could lead it elsewhere. Knows no protocol.
 */

import { spawnSync } from 'node:child_process'
import {
  lchownSync,
  lstatSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  unlinkSync,
} from 'node:fs'
import type net from 'node:net'
import path from 'node:path'
import { reasonOf } from '../base/log.ts'
import { type BoundHandle, bindOnly, listening } from './listener.ts'
import { isRoot, onlyRoots, Untrusted } from './only-root.ts'

export interface UnixSocketOptions {
  readonly path: string
  /** The setting that names it, for messages; without it `[registration] socket`. */
  readonly key?: string | undefined
  readonly mode: number
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/** A socket file of ours. */
export interface SocketFile {
  /**
   * Removes the file if it still is the one that we made, and leaves it where this process may not: the next start
   * replaces it. Synchronous, because Haraka leaves no time when it stops.
   */
  remove(): void
}

/** A socket that has its path but is not listened on: a child process does that, and inherits the descriptor. */
export interface BoundSocket extends SocketFile {
  readonly fd: number
}

const USUAL_KEY = '[registration] socket'

/** The longest path that fits into a sockaddr_un of Linux, in bytes. */
const LONGEST_PATH = 107

/** The name of the private directory in which the socket is made, beside its path, begins with it. */
const PRIVATE = '.x'

/**
 * Binds without listening. Synchronous, because Haraka is root only while its plugins register. Throws when the
 * path is served by another process or cannot be used; the message says what to do.
 */
export function bindUnixSocket(options: UnixSocketOptions): BoundSocket {
  const place = findPlace(options)
  let handle: BoundHandle | undefined
  try {
    const file = makeInPrivate(place, options, name => {
      handle = bindOnly(name, -1, -1)
    })
    const { fd } = handle as BoundHandle
    return {
      fd,
      remove() {
        file.remove()
        handle?.close()
        handle = undefined
      },
    }
  } catch (error) {
    handle?.close()
    throw error
  }
}

/** Makes `server` listen at the path. Rejects as bindUnixSocket throws. */
export async function listenUnixSocket(server: net.Server, options: UnixSocketOptions): Promise<SocketFile> {
  const place = findPlace(options)
  let opened = Promise.resolve()
  try {
    // Node makes the socket before `listen` returns, and tells of it later.
    const file = makeInPrivate(place, options, name => {
      opened = listening(server, () => server.listen(name))
    })
    await opened
    return file
  } catch (error) {
    // Node's error is the cause of the one that was found here.
    await opened.finally(() => server.close())
    throw error
  }
}

/**
 * Where the socket shall be: an absolute path without links. Throws when there is no such directory, when root must not
 * work in it, and when the path is served already.
 */
function findPlace({ path: wanted, key = USUAL_KEY }: UnixSocketOptions): string {
  const directory = findDirectory(wanted, key)
  const place = path.join(directory, path.basename(wanted))
  if (
    Math.max(Buffer.byteLength(place), Buffer.byteLength(path.join(directory, `${PRIVATE}XXXXXX/s`))) >
    LONGEST_PATH
  )
    throw new Error(`${wanted}: longer than the ${LONGEST_PATH} bytes that the path of a socket can have`)
  checkNotServed(place, key)
  return place
}

function findDirectory(wanted: string, key: string): string {
  const named = path.resolve(path.dirname(wanted))
  try {
    return isRoot() ? onlyRoots(named) : realpathSync(named)
  } catch (error) {
    if (error instanceof Untrusted)
      throw new Error(
        `${wanted}: ${error.message}, so root makes no socket there: make it root's (chown root; chmod 1775 where others write there, too), or set ${key} to a path in a directory of root's, such as /run/dovecot`,
      )
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new Error(
      `${named}: there is no such directory: start Dovecot when it is Dovecot's, or make it (as root's), or set ${key} to another path`,
    )
  }
}

/** Lets `bind` make a socket at the path that it is given, sets mode and owner, and moves it to `place`. */
function makeInPrivate(
  place: string,
  { mode, uid, gid, key = USUAL_KEY }: UnixSocketOptions,
  bind: (name: string) => void,
): SocketFile {
  const directory = makePrivateDirectory(place, key)
  const made = path.join(directory, 's')
  try {
    withMode(mode, () => bind(made))
    // -1 leaves the one that is not given as it is: chown(2).
    if (uid !== undefined || gid !== undefined) lchownSync(made, uid ?? -1, gid ?? -1)
    const ours = lstatSync(made)
    renameSync(made, place)
    return { remove: () => removeIf(place, ours) }
  } catch (error) {
    throw new Error(`${place}: the socket cannot be put in place: ${reasonOf(error)}`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A directory beside the socket's path that no other user can enter. */
function makePrivateDirectory(place: string, key: string): string {
  const directory = path.dirname(place)
  try {
    return mkdtempSync(path.join(directory, PRIVATE))
  } catch (error) {
    throw new Error(
      `${directory}: must be writable when the socket is made: ${reasonOf(error)}; start Dovecot before Haraka, or set ${key} to another path`,
    )
  }
}

/** A socket that `make` makes, synchronously, has the mode from the first moment on: umask takes the other bits from 0777. */
function withMode(mode: number, make: () => void): void {
  const before = process.umask(~mode & 0o777)
  try {
    make()
  } finally {
    process.umask(before)
  }
}

function removeIf(file: string, ours: Stats): void {
  try {
    const there = statOf(file)
    if (there?.ino === ours.ino && there.dev === ours.dev) unlinkSync(file)
  } catch (error) {
    // A process that has dropped root cannot remove what root made.
    if (!['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

function statOf(file: string): Stats | undefined {
  return lstatSync(file, { throwIfNoEntry: false })
}

/** A file that is there may go when it is a socket without a listener, and only then. */
function checkNotServed(file: string, key: string): void {
  const there = statOf(file)
  if (!there) return
  if (!there.isSocket()) throw new Error(`${file}: there is a file that is not a socket; it was left alone`)
  const answer = connectTo(file)
  if (answer === 'ECONNREFUSED' || answer === 'ENOENT') return
  const found = answer === 'connected' ? 'another process serves it' : `it cannot be tried (${answer})`
  throw new Error(
    `${file}: ${found}; stop what uses it (an xapsd, a second Haraka), or set ${key} to another path`,
  )
}

const CONNECT = `
require('node:net').connect(process.argv[1])
  .on('connect', () => { process.stdout.write('connected'); process.exit() })
  .on('error', error => { process.stdout.write(error.code); process.exit() })`

/** The result of a connection to `file`: `connected` or the code of the error. A child tries, as only it can wait. */
function connectTo(file: string): string {
  const child = spawnSync(process.execPath, ['-e', CONNECT, '--', file], {
    env: {},
    timeout: 5_000,
    stdio: ['ignore', 'pipe', 'ignore'],
    encoding: 'utf8',
  })
  return child.stdout || 'no answer'
}
