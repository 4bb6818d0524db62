/** TCP addresses as `[registration] listen` has them, and opening what is listened on. Knows nothing of what is served. */

import { lookup } from 'node:dns/promises'
import net from 'node:net'
import type { Log } from '../log.ts'
import { reasonOf } from '../log.ts'
import { type BoundHandle, bindOnly } from './bound-handle.ts'
import { listening } from './unix-socket.ts'

/** Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 1024

export interface TcpAddress {
  readonly host: string
  readonly port: number
}

/** `[::1]:11619`, `127.0.0.1:11619` or `localhost:11619`. Throws for anything else, a missing address included. */
export function parseTcpAddress(text: string): TcpAddress {
  const match = /^(?:\[([\da-f:.]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(text)
  const host = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3])
  if (host === '' || port > 65535 || (match?.[1] !== undefined && !net.isIPv6(host)))
    throw new Error(`${text}: expected an address and a port, like [::1]:11619 or 127.0.0.1:11619`)
  return { host, port }
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (net.isIPv4(host) && host.startsWith('127.'))
}

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
