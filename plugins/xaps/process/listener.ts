/** Opens TCP listeners, or binds them for a child process. Knows no protocol. */

import { lookup } from 'node:dns/promises'
import net from 'node:net'
import { getSystemErrorName } from 'node:util'
import { isLoopback, parseTcpAddress } from '../base/addresses.ts'
import { type Log, reasonOf } from '../base/log.ts'

/** Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 1024

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

/** Makes `server` listen on `address`. Rejects with a message that names it. */
export function listenTcp(server: net.Server, address: string, log: Log): Promise<undefined> {
  return openTcp(address, log, async (host, port) => {
    await listening(server, () => server.listen({ host, port, backlog: BACKLOG }))
    return undefined
  })
}

/**
 * Binds `address` without listening, at once when it is no name: Haraka is root only while its plugins register. Rejects
 * with a message that names it.
 */
export function bindTcp(address: string, log: Log): Promise<BoundHandle> {
  return openTcp(address, log, async (host, port) => {
    const ip = net.isIP(host) ? host : (await lookup(host)).address
    return bindOnly(ip, port, net.isIP(ip))
  })
}

async function openTcp<T>(
  address: string,
  log: Log,
  open: (host: string, port: number) => Promise<T>,
): Promise<T> {
  const { host, port } = parseTcpAddress(address)
  try {
    const opened = await open(host, port)
    if (!isLoopback(host))
      log.warn('listen is not loopback: whoever reaches it can register devices for every user', { address })
    return opened
  } catch (error) {
    throw new Error(`${address}: ${tcpReason(error)}`)
  }
}

/** Makes `server` listen on a socket that the parent process bound and left as descriptor `fd`. */
export async function listenInherited(server: net.Server, fd: number): Promise<undefined> {
  try {
    await listening(server, () => server.listen({ fd, backlog: BACKLOG }))
  } catch (error) {
    throw new Error(`descriptor ${fd}: no socket to listen on: ${reasonOf(error)}`)
  }
}

function tcpReason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'EADDRINUSE') return 'another process listens there'
  if (code === 'EADDRNOTAVAIL') return 'this machine does not have the address'
  if (code === 'EACCES') return 'ports below 1024 are for root'
  return reasonOf(error)
}

/**
 * A socket that is bound and not listened on: a child process that inherits the descriptor does that. As long as it is
 * open here, connections wait while the child is started again.
 */
export interface BoundHandle {
  readonly fd: number
  close(): void
}

interface NodeHandle extends BoundHandle {
  /** Only a TCP handle has it. Returns an error number, or 0. */
  getsockname?(name: { address?: string; port?: number }): number
}

type CreateHandle = (address: string, port: number, addressType: number) => NodeHandle | number

/**
 * Binds to a path (`port` and `addressType` are -1), or to an IP address with `addressType` 4 or 6. Throws an Error with
 * the system's `code`. Node's public interface can only listen, and then it accepts too. What it calls underneath binds
 * alone; it has been there under this name, undocumented, since Node 0.6, and this is the only place that uses it.
 */
export function bindOnly(address: string, port: number, addressType: number): BoundHandle {
  const create = (net as unknown as { _createServerHandle?: CreateHandle })._createServerHandle
  if (!create)
    throw new Error(
      `this Node (${process.version}) cannot hand a socket to a child: run \`xaps serve\` as a service of its own, and set [registration] enabled = false`,
    )
  const handle = create(address, port, addressType)
  if (typeof handle === 'number') throw systemError(handle)
  // That another process has the address is told to the one who listens; without an address that would be any port.
  const failure = handle.getsockname?.({}) ?? 0
  if (failure === 0) return { fd: handle.fd, close: () => handle.close() }
  handle.close()
  throw systemError(failure)
}

function systemError(number: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(number)
  return Object.assign(new Error(`bind: ${code}`), { code })
}
