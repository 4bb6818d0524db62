/** Where a device store is, as `[store] uri` says it: one grammar for all readers, and one way to show it. Opens nothing. */

/** An address to connect to; `host` is a name or an IP address without brackets. */
export interface Server {
  readonly host: string
  readonly port: number
}

export interface Login {
  readonly username?: string
  readonly password?: string
}

export interface RedisPlace extends Login {
  readonly kind: 'redis'
  readonly form: 'single' | 'sentinel' | 'cluster'
  readonly tls: boolean
  /** The server itself, the sentinels, or some nodes of the cluster. */
  readonly servers: readonly Server[]
  readonly database: number
  /** What the sentinels call the master; empty in other forms. */
  readonly master: string
  /** For the sentinels themselves. */
  readonly sentinel: Login
}

export type StorePlace = { readonly kind: 'lmdb'; readonly directory: string } | RedisPlace

/** The grammar, for messages. */
export const STORE_URIS =
  'lmdb:DIRECTORY, redis://HOST:PORT, redis+sentinel://HOST:PORT,HOST:PORT/MASTER or ' +
  'redis+cluster://HOST:PORT,HOST:PORT (with TLS rediss://, rediss+sentinel://, rediss+cluster://)'

const REDIS =
  /^(rediss?(?:[+-]sentinel|\+cluster)?):\/\/(?:([^/?#]*)@)?([^/?#@]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/

/**
 * Undefined for text that is no such URI. Sentinel's form is that of Python's clients, `redis+sentinel://…/MASTER[/DB]`;
 * that of Lettuce and Spring, `redis-sentinel://…[/DB]?sentinelMasterId=MASTER`, is understood as well.
 */
export function parseStoreUri(uri: string): StorePlace | undefined {
  const [, directory] = /^lmdb:(.+)$/.exec(uri) ?? []
  if (directory !== undefined) return { kind: 'lmdb', directory }
  const [, scheme, login, hosts, path = '', query = ''] = REDIS.exec(uri) ?? []
  if (scheme === undefined || hosts === undefined) return undefined
  const [base, form = 'single'] = scheme.split(/[+-]/) as [string, RedisPlace['form']?]
  try {
    const common = { kind: 'redis', form, tls: base === 'rediss' } as const
    const servers = serversOf(hosts, form)
    return { ...common, servers, ...loginOf(login, scheme), ...dataOf(scheme, path, query) }
  } catch {
    // A part that is not as it should be, or not encoded as it should be.
    return undefined
  }
}

function serversOf(hosts: string, form: RedisPlace['form']): Server[] {
  const servers = hosts.split(',').map(host => new URL(`redis://${host}`))
  if (form === 'single' && servers.length > 1) throw new Error('one server')
  return servers.map(({ hostname, port }) => {
    if (hostname === '') throw new Error('no host')
    const standard = form === 'sentinel' ? 26_379 : 6_379
    return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || standard) }
  })
}

/** A single word is a user, but a password in Lettuce's form. */
function loginOf(login: string | undefined, scheme: string): Login {
  const [, name = '', password] = /^([^:]*)(?::(.*))?$/s.exec(login ?? '') ?? []
  if (password === undefined && scheme.includes('-')) return optional('', decodeURIComponent(name))
  return optional(decodeURIComponent(name), decodeURIComponent(password ?? ''))
}

function optional(username: string | null, password: string | null): Login {
  return { ...(username ? { username } : {}), ...(password ? { password } : {}) }
}

/** The database, and with Sentinel the master, behind the hosts. */
function dataOf(scheme: string, path: string, query: string) {
  if (!scheme.endsWith('sentinel')) {
    if (scheme.endsWith('cluster') && `${path}${query}` !== '') throw new Error('a cluster has one database')
    return { database: databaseOf(path), master: '', sentinel: {} }
  }
  const { sentinelMasterId, sentinel_username, sentinel_password, ...others } = Object.fromEntries(
    new URLSearchParams(query),
  )
  if (Object.keys(others).length > 0) throw new Error('a parameter that is not known')
  const segments = path.split('/')
  const inPath = scheme.includes('+') && sentinelMasterId === undefined
  const master = inPath ? decodeURIComponent(segments.shift() ?? '') : sentinelMasterId
  const [database = '', ...more] = segments
  if (!master || more.length > 0) throw new Error('one master')
  const sentinel = optional(sentinel_username ?? null, sentinel_password ?? null)
  return { database: databaseOf(database), master, sentinel }
}

function databaseOf(text: string): number {
  if (/^\d{0,6}$/.test(text)) return Number(text)
  throw new Error('a number')
}

/** `host:port`, as it is written in a URI. */
export function addressOf({ host, port }: Server): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * The URI as it may be shown: `***` for what is secret, also in text that is no URI because of what a password holds.
 */
export function withoutPassword(uri: string): string {
  if (!uri.includes('://')) return uri
  return uri
    .replace(/([?&](?!sentinel_username=|sentinelMasterId=)[^=&]*=)[^&]*/g, '$1***')
    .replace(/^(rediss?-sentinel:\/\/)[^:@/]*@/, '$1***@')
    .replace(/(:\/\/[^:@/]*:).*@/s, '$1***@')
}
