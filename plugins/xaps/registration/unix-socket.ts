/**
 * A Unix socket at a path that others know, with mode and owner right before anybody can connect: it is made in a
 * directory of its own, dressed there, and renamed to its path. The rename also replaces what a process that was
 * killed left behind, without a moment in which there is no socket. Knows nothing of what is served there.
 */

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  type Stats,
  unlinkSync,
} from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { reasonOf } from '../log.ts'

export interface UnixSocketOptions {
  readonly path: string
  readonly mode: number
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/** A socket file of ours. */
export interface SocketFile {
  /**
   * Removes the file if it still is the one that we made. Synchronous, because Haraka leaves no time when it stops;
   * never throws, because whoever starts next replaces what stays.
   */
  remove(): void
}

/** A socket that has its path but is not listened on: a child process does that, and inherits the descriptor. */
export interface BoundSocket extends SocketFile {
  readonly fd: number
}

/** The longest path that fits into a sockaddr_un of Linux, in bytes. */
const LONGEST_PATH = 107

const UNKNOWN_HANDLE = -1

/**
 * Binds without listening. Synchronous, because Haraka is root only while its plugins register. Throws when the
 * path is served by another process or cannot be used; the message says what to do.
 */
export function bindUnixSocket(options: UnixSocketOptions): BoundSocket {
  const nest = makeNest(options)
  const handle = bindOnly(nest, path.join(nest, 's'))
  try {
    const file = place(nest, options)
    return {
      fd: handle.fd,
      remove() {
        file.remove()
        handle.close()
      },
    }
  } catch (error) {
    handle.close()
    throw error
  }
}

/** Makes `server` listen at the path. Rejects as bindUnixSocket throws. */
export async function listenUnixSocket(server: net.Server, options: UnixSocketOptions): Promise<SocketFile> {
  const nest = makeNest(options)
  try {
    await listening(server, () => server.listen(path.join(nest, 's')))
    return place(nest, options)
  } catch (error) {
    rmSync(nest, { recursive: true, force: true })
    server.close()
    throw error
  }
}

/** Resolves when `listen` has made the server listen, rejects with the error when it cannot. */
export function listening(server: net.Server, listen: () => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      server.off('listening', settle).off('error', settle)
      if (error) reject(error)
      else resolve()
    }
    server.on('listening', settle).on('error', settle)
    listen()
  })
}

interface PipeHandle {
  readonly fd: number
  close(): void
}

type CreateHandle = (address: string, port: number, addressType: number) => PipeHandle | number

/**
 * Node can only listen, and then it accepts too. What it calls underneath binds alone; it has been there under this
 * name, undocumented, since Node 0.6, and this is the only place that uses it.
 */
function bindOnly(nest: string, name: string): PipeHandle {
  const create = (net as unknown as { _createServerHandle?: CreateHandle })._createServerHandle
  const handle = create?.(name, -1, -1) ?? UNKNOWN_HANDLE
  if (typeof handle === 'object') return handle
  rmSync(nest, { recursive: true, force: true })
  if (!create)
    throw new Error(
      `this Node (${process.version}) cannot hand a socket to a child: run \`xaps serve\` as a service of its own, and set [registration] enabled = false`,
    )
  throw new Error(`${name}: a socket cannot be made here (error ${handle})`)
}

/** The directory in which the socket is made, beside its path, entered by nobody else. */
function makeNest({ path: file, uid, gid }: UnixSocketOptions): string {
  const directory = path.dirname(file)
  const nest = path.join(directory, '.x')
  if (Math.max(Buffer.byteLength(file), Buffer.byteLength(`${nest}XXXXXX/s`)) > LONGEST_PATH)
    throw new Error(`${file}: longer than the ${LONGEST_PATH} bytes that the path of a socket can have`)
  makeDirectory(directory, uid, gid)
  checkNotServed(file)
  try {
    return mkdtempSync(nest)
  } catch (error) {
    throw new Error(`${file}: the directory must be writable when the socket is made: ${reasonOf(error)}`)
  }
}

function makeDirectory(directory: string, uid: number | undefined, gid: number | undefined): void {
  if (statOf(directory)) return
  try {
    mkdirSync(directory, 0o755)
    own(directory, uid, gid)
  } catch (error) {
    throw new Error(
      `${directory}: there is no such directory, and it cannot be made (${reasonOf(error)}): start Dovecot first when it is Dovecot's, or make it, or set [registration] socket to another path`,
    )
  }
}

/** Dresses the socket and gives it its name. */
function place(nest: string, { path: file, mode, uid, gid }: UnixSocketOptions): SocketFile {
  const made = path.join(nest, 's')
  try {
    own(made, uid, gid)
    chmodSync(made, mode)
    const ours = lstatSync(made)
    renameSync(made, file)
    return { remove: () => removeIf(file, ours) }
  } catch (error) {
    throw new Error(`${file}: the socket cannot be put in place: ${reasonOf(error)}`)
  } finally {
    rmSync(nest, { recursive: true, force: true })
  }
}

function own(file: string, uid: number | undefined, gid: number | undefined): void {
  if (uid === undefined && gid === undefined) return
  // -1 leaves the one that is not given as it is: chown(2).
  chownSync(file, uid ?? -1, gid ?? -1)
}

function removeIf(file: string, ours: Stats): void {
  try {
    const there = statOf(file)
    if (there?.ino === ours.ino && there.dev === ours.dev) unlinkSync(file)
  } catch (error) {
    // A process that has dropped root cannot remove what root made.
    if (!isPermission(error)) throw error
  }
}

function isPermission(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')
}

function statOf(file: string): Stats | undefined {
  return lstatSync(file, { throwIfNoEntry: false })
}

/** A file that is there may go when it is a socket that nobody listens on, and only then. */
function checkNotServed(file: string): void {
  const there = statOf(file)
  if (!there) return
  if (!there.isSocket()) throw new Error(`${file}: there is a file that is not a socket; it was left alone`)
  const answer = connectTo(file)
  if (answer === 'ECONNREFUSED' || answer === 'ENOENT') return
  const found = answer === 'connected' ? 'another process serves it' : `it cannot be tried (${answer})`
  throw new Error(
    `${file}: ${found}; stop what uses it (an xapsd, a second Haraka), or set [registration] socket to another path`,
  )
}

const CONNECT = `
require('node:net').connect(process.argv[1])
  .on('connect', () => { process.stdout.write('connected'); process.exit() })
  .on('error', error => { process.stdout.write(error.code); process.exit() })`

/** What comes of a connection to `file`: `connected` or the code of the error. A child tries, as only it can wait. */
function connectTo(file: string): string {
  const child = spawnSync(process.execPath, ['-e', CONNECT, '--', file], {
    env: {},
    timeout: 5_000,
    stdio: ['ignore', 'pipe', 'ignore'],
    encoding: 'utf8',
  })
  return child.stdout || 'no answer'
}
