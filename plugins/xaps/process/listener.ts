/** Opening what is listened on. Knows nothing of what is served. */

import { lookup } from 'node:dns/promises'
import net from 'node:net'
import type { Log } from '../base/log.ts'
import { reasonOf } from '../base/log.ts'
import { isLoopback, parseTcpAddress } from '../base/tcp-address.ts'
import { type BoundHandle, bindOnly } from './bound-handle.ts'
import { listening } from './unix-socket.ts'

/** Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 1024

/** Makes `server` listen on `address`. Rejects with a message that names it. */
export async function listenTcp(server: net.Server, address: string, log: Log): Promise<undefined> {
  const { host, port } = parseTcpAddress(address)
  try {
    await listening(server, () => server.listen({ host, port, backlog: BACKLOG }))
  } catch (error) {
    throw new Error(`${address}: ${tcpReason(error)}`)
  }
  warnUnlessLoopback(host, address, log)
}

/**
 * Binds `address` without listening, at once when it is no name: Haraka is root only while its plugins register. Rejects
 * with a message that names it.
 */
export async function bindTcp(address: string, log: Log): Promise<BoundHandle> {
  const { host, port } = parseTcpAddress(address)
  try {
    const ip = net.isIP(host) ? host : (await lookup(host)).address
    const handle = bindOnly(ip, port, net.isIP(ip))
    warnUnlessLoopback(host, address, log)
    return handle
  } catch (error) {
    throw new Error(`${address}: ${tcpReason(error)}`)
  }
}

function warnUnlessLoopback(host: string, address: string, log: Log): void {
  if (!isLoopback(host))
    log.warn('listen is not loopback: whoever reaches it can register devices for every user', { address })
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
