/** Where something listens: one grammar for all readers. Opens nothing. */

import net from 'node:net'

/** `host:port` as `[registration] listen` and HTTP's Host header have it. */
export interface TcpAddress {
  /** A name in lower case, or an IP address in its shortest form and without brackets. */
  readonly host: string
  readonly port: number
}

const AUTHORITY = /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i

/** Digits and dots: meant as an IPv4 address, and no name. */
const NUMERIC = /^[\d.]+$/

/** The host in `host` or `host:port`, an IPv6 address in brackets; undefined when `text` is neither. */
export function hostIn(text: string): string | undefined {
  const [, bracketed, bare] = AUTHORITY.exec(text) ?? []
  if (bracketed !== undefined) {
    return net.isIPv6(bracketed)
      ? new net.SocketAddress({ address: bracketed, family: 'ipv6' }).address
      : undefined
  }
  return bare !== undefined && NUMERIC.test(bare) && !net.isIPv4(bare) ? undefined : bare?.toLowerCase()
}

/**
 * `[::1]:11619`, `127.0.0.1:11619` or `localhost:11619`; port 0 is any that is free. Throws for anything else, a
 * missing address or port included.
 */
export function parseTcpAddress(text: string): TcpAddress {
  const host = hostIn(text)
  const port = Number(AUTHORITY.exec(text)?.[3])
  if (host === undefined || !(port <= 65535))
    throw new Error(`${text}: expected an address and a port, like [::1]:11619 or 127.0.0.1:11619`)
  return { host, port }
}

/** Whether only this machine can reach the host. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (net.isIPv4(host) && host.startsWith('127.'))
}

const NETWORK = /^([^/]+?)(?:\/(\d{1,3}))?$/

/** Address, length of the prefix and family of `192.0.2.7`, `10.0.0.0/8` or `fd00::/8`; undefined for anything else. */
function networkIn(text: string): [string, number, 'ipv4' | 'ipv6'] | undefined {
  const [, address = '', prefix] = NETWORK.exec(text) ?? []
  const family = net.isIP(address)
  const bits = family === 4 ? 32 : 128
  const length = Number(prefix ?? bits)
  return family === 0 || length > bits ? undefined : [address, length, family === 4 ? 'ipv4' : 'ipv6']
}

/** Whether it is an IP address, or a network in CIDR notation. */
export function isNetwork(text: string): boolean {
  return networkIn(text) !== undefined
}

/**
 * Whether a peer's address is one of `networks`, or in one. An IPv4 address that a socket for IPv6 writes as
 * `::ffff:192.0.2.7` is an IPv4 address; the zone of one that is local to a link does not count. Items that are no network have nothing in them.
 */
export function isWithin(networks: readonly string[], peer: string): boolean {
  const [address = ''] = peer.split('%', 1)
  const family = net.isIP(address)
  if (family === 0) return false
  const all = new net.BlockList()
  for (const network of networks.map(networkIn)) if (network) all.addSubnet(...network)
  return all.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

/** Whether listening there means on all addresses of this machine. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}
