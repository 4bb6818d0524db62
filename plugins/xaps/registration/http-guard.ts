/**
 * What keeps web pages out of the HTTP listener: a page in a browser that reaches the address can make the browser send
 * requests. It cannot send JSON, nor leave Origin out of a POST; and a name of its own that it points at this machine
 * stands in Host. Dovecot's plugins send JSON, no Origin, and as Host what their URL says.
 */

import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import os from 'node:os'
import { hostIn, isLoopback, isWildcard, parseTcpAddress } from '../base/addresses.ts'
import { BadRequest } from './refusal.ts'

const JSON_TYPE = /^application\/json[ \t]*(?:;|$)/i

/** Throws BadRequest when the Host that a request gives is not this server. */
export type CheckHost = (request: IncomingMessage) => void

/**
 * `listen`: the addresses of configuration. Their hosts and the names of loopback are this server; where one of them
 * is a wildcard, so are this machine's name and addresses. A request without Host (HTTP/1.0) comes from no browser.
 */
export function makeCheckHost(listen: readonly string[]): CheckHost {
  const hosts = new Set(listen.map(address => parseTcpAddress(address).host))
  const everywhere = [...hosts].some(isWildcard)
  const isOurs = (host: string) => hosts.has(host) || isLoopback(host) || (everywhere && isThisMachine(host))

  return ({ headers }) => {
    if (headers.host === undefined) return
    const host = hostIn(headers.host)
    if (host === undefined || !isOurs(host))
      throw new BadRequest(
        'Host is no address of [registration] listen: set the same one there and in Dovecot',
        { status: 421 },
      )
  }
}

function isThisMachine(host: string): boolean {
  if (isIP(host) === 0) return host === os.hostname().toLowerCase()
  return addressesHere().includes(host)
}

/** They come and go while a server runs, so they are not remembered. None where the process may not ask (netlink). */
function addressesHere(): string[] {
  try {
    return Object.values(os.networkInterfaces()).flatMap(found => found?.map(({ address }) => address) ?? [])
  } catch {
    return []
  }
}

/** Throws BadRequest for a POST that a web page may have sent. */
export function checkPost({ headers }: IncomingMessage): void {
  if (headers.origin !== undefined)
    throw new BadRequest('Origin: requests of web pages are not served', { status: 403 })
  if (!JSON_TYPE.test(headers['content-type'] ?? ''))
    throw new BadRequest('Content-Type: application/json expected', { status: 415 })
}
