/** How each connection to a Redis server, a sentinel or a node of a cluster is made, and what its errors mean. */

import { readFileSync } from 'node:fs'
import type { RedisClientOptions } from '@keyv/redis'
import { reasonOf } from '../../base/log.ts'
import type { Login, RedisPlace, Server } from '../../base/store-uri.ts'
import type { KeyedStoreOptions } from '../keyed-store.ts'

/** Loads the library: where there is no Redis it is not needed. */
export const loadLibrary = () => import('@keyv/redis')

export type Library = Awaited<ReturnType<typeof loadLibrary>>

/** PEM files for TLS; empty or missing: the system's authorities, no certificate of ours. */
export interface TlsFiles {
  readonly ca?: string
  readonly certificate?: string
  readonly key?: string
}

export interface RedisOptions extends KeyedStoreOptions, TlsFiles {
  readonly place: RedisPlace
  /** How long one call may take, in milliseconds. */
  readonly deadlineMs?: number
}

/**
 * For every connection: a client ends with its connection, and another is made, which reads the files again. Each of the
 * timeouts was seen to be needed for an outage to end in errors instead of in silence.
 */
export function connectionOptions(options: RedisOptions, login: Login): RedisClientOptions {
  const { username, password } = login
  return {
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
    disableOfflineQueue: true,
    // To name itself to the server would need one more right.
    disableClientInfo: true,
    // Without pings the socket timeout would end idle connections.
    pingInterval: 1_000,
    socket: socketOptions(options) as NonNullable<RedisClientOptions['socket']>,
  }
}

/** The same for `server` alone. */
export function optionsFor(server: Server, options: RedisOptions, login: Login): RedisClientOptions {
  const common = connectionOptions(options, login)
  return { ...common, socket: { ...common.socket, ...server } as NonNullable<RedisClientOptions['socket']> }
}

/** Its files are read whenever it is copied, which the client of a cluster does for each connection. */
function socketOptions({ place, ca, certificate, key }: RedisOptions) {
  const read = (name: string, file = '') => (place.tls && file !== '' ? contentOf(name, file) : undefined)
  return {
    connectTimeout: 1_000,
    socketTimeout: 2_000,
    reconnectStrategy: false,
    ...(place.tls ? { tls: true } : {}),
    get ca() {
      return read('ca', ca)
    },
    get cert() {
      return read('certificate', certificate)
    },
    get key() {
      return read('key', key)
    },
  }
}

function contentOf(name: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new Error(`[store] ${name}: ${reasonOf(error)}`)
  }
}

const UNKNOWN_AUTHORITY = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
])

/**
 * The reason of a failure in one line, with the setting that it is about. `attempt`: the connection was being made; then an
 * end without a word is often a matter of TLS.
 */
export function connectionReason(error: unknown, attempt?: RedisOptions): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const reason = reasonOf(error).replace(/\s*\n\s*/g, ' ')
  // What node-redis makes of it.
  if (error instanceof TypeError && /reading 'master'/.test(reason))
    return 'no server of the cluster has this part of the keys'
  if (UNKNOWN_AUTHORITY.has(code))
    return `${reason}; [store] ca must name the authority that signed its certificate`
  if (!attempt || !/^(ECONNRESET|EPROTO|EPIPE|ERR_SSL_.*)$/.test(code)) return reason
  if (!attempt.place.tls) return `${reason}; if it wants TLS, the URI begins with rediss`
  return attempt.certificate
    ? reason
    : `${reason}; it may ask for a certificate ([store] certificate and key)`
}
