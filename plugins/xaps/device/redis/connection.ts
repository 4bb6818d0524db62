/**
 * One connection to a Redis server, by @keyv/redis. Every call is answered within a deadline; while the server is away
 * the answer is an Error that says why. A node of a Redis Cluster keeps only some of the keys, and a sentinel none: both
 * take a connection as any server does, so each server is asked what it is. Knows nothing of devices.
 */

import type { RedisClientOptions, RedisClientType } from '@keyv/redis'
import type { Keyv } from 'keyv'
import { DeadlineExceeded, within } from '../../base/deadline.ts'
import { type Log, reasonOf } from '../../base/log.ts'
import { TransitionLog } from '../../base/transition-log.ts'
import { DamagedRecord, keyvOver } from '../codec.ts'
import type { UserRecord } from '../device.ts'
import { UnusableServer } from '../store.ts'

export interface RedisOptions {
  /** redis:// or rediss://, with user, password and database as there may be. */
  readonly uri: string
  readonly namespace: string
  readonly log: Log
  /** How long one call may take, in milliseconds. */
  readonly deadlineMs?: number
}

export interface RedisConnection {
  /** For messages: "Redis at host:port". */
  readonly server: string
  readonly deadlineMs: number
  readonly keyv: Keyv<UserRecord>
  readonly client: RedisClientType
  /** The key with the namespace, as the server knows it. */
  fullKey(key: string): string
  /** The texts under keys without namespace, undefined for those not there. */
  texts(keys: string[]): Promise<ReadonlyArray<string | undefined>>
  /** Runs `run` and waits for it until the deadline. Rejects with an Error that names the server and the reason. */
  call<T>(run: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

const DEADLINE_MS = 2_000
/** How long the start waits for the server. After that calls reject until it is there. */
const START_MS = 1_500

/**
 * Connects, and connects again whenever the connection is lost. Resolves once the server answers, has refused or has
 * been silent for a while. Rejects when the server is a node of a Redis Cluster or a sentinel, for no other reason; one
 * that turns out to be such later makes the calls reject.
 */
export async function connectRedis(options: RedisOptions): Promise<RedisConnection> {
  const { uri, namespace, log, deadlineMs = DEADLINE_MS } = options
  const { default: Adapter } = await import('@keyv/redis')
  const adapter = new Adapter(clientOptions(uri), { namespace, throwOnErrors: true })
  const client = adapter.client as RedisClientType
  const keyv = keyvOver(adapter, namespace)
  const server = `Redis at ${new URL(uri).host}`
  const connection = watchConnection(client, server, log)
  const usable = watchKind(client)
  let closed = false
  let answeredAt = Date.now()

  /** The client of node-redis tries until it succeeds or is destroyed, and reports what fails as 'error' events. */
  function connect(): void {
    client
      .connect()
      .catch((error: unknown) => log.debug(`${server}: connecting ended`, { reason: reasonOf(error) }))
  }

  /** A connection whose other end has vanished is only noticed by its silence: TCP itself takes a quarter of an hour. */
  function replaceIfSilent(): void {
    if (!client.isReady || Date.now() - answeredAt < deadlineMs) return
    client.destroy()
    connect()
  }

  connect()
  await within(connection.firstNews, START_MS, server).catch(() => log.warn(`${server} does not answer yet`))
  await within(usable(), START_MS, server).catch(error => {
    // Its calls will say so.
    if (error instanceof DeadlineExceeded) return
    client.destroy()
    throw new UnusableServer(`${server}: ${reasonOf(error)}`)
  })

  return {
    server,
    deadlineMs,
    keyv,
    client,
    fullKey: key => adapter.createKeyPrefix(key, namespace),
    texts: keys => adapter.getMany<string>(keys) as Promise<Array<string | undefined>>,
    async call(run) {
      if (closed) throw new Error(`${server}: the store is closed`)
      try {
        const result = await within(usable().then(run), deadlineMs, 'the server')
        answeredAt = Date.now()
        return result
      } catch (error) {
        if (error instanceof DamagedRecord) throw error
        if (error instanceof DeadlineExceeded) replaceIfSilent()
        throw new Error(`${server}: ${connection.explain(error)}`)
      }
    },
    async close() {
      closed = true
      connection.close()
      // Not client.close(): that waits for answers that may never come.
      if (client.isOpen) client.destroy()
    },
  }
}

/** Each of these was seen to be needed for an outage to end in errors instead of in silence. */
function clientOptions(uri: string): RedisClientOptions {
  return {
    url: uri,
    disableOfflineQueue: true,
    // Without pings the socket timeout would end idle connections.
    pingInterval: 1_000,
    socket: {
      connectTimeout: 1_000,
      socketTimeout: 2_000,
      reconnectStrategy: attempts => Math.min(100 * 2 ** attempts, 2_000),
    },
  }
}

/** Remembers and logs the state of the connection. */
function watchConnection(client: RedisClientType, server: string, log: Log) {
  const transitions = new TransitionLog('up')
  let lastError: string | undefined
  let announce: () => void
  const firstNews = new Promise<void>(resolve => {
    announce = resolve
  })
  client.on('ready', () => {
    transitions.to('up', counted => log.notice(`${server} is back`, counted))
    lastError = undefined
    announce()
  })
  client.on('error', (error: unknown) => {
    const reason = reasonOf(error)
    lastError = reason
    if (!client.isReady)
      transitions.to('away', counted => log.warn(`${server} is away`, { reason, ...counted }))
    announce()
  })
  return {
    close: () => transitions.close(),
    /** Resolves when the server has answered or refused for the first time. */
    firstNews,
    /** The reason of a failed call; "the client is offline" alone would not help. */
    explain(error: unknown): string {
      const reason = reasonOf(error)
      const isExplained = client.isReady || lastError === undefined || lastError === reason
      return isExplained ? reason : `${reason}: ${lastError}`
    },
  }
}

const UNFIT: Readonly<Record<string, string>> = {
  cluster:
    'it is a node of a Redis Cluster, which keeps a part of the keys only; name a Redis server that is in no cluster',
  sentinel: 'it is a Redis Sentinel, which keeps no data; name the Redis server that it watches',
}

/**
 * Asks the server at each connection. The function returned resolves when the server can be a store or does not let
 * this user know, and rejects with a reason when it cannot.
 */
function watchKind(client: RedisClientType): () => Promise<void> {
  let mode: Promise<string | undefined> = Promise.resolve(undefined)
  client.on('ready', () => {
    // Where the connection is lost meanwhile, the next one asks again.
    mode = modeOf(client).catch(() => undefined)
  })
  return async () => {
    const unfit = UNFIT[(await mode) ?? '']
    if (unfit !== undefined) throw new Error(unfit)
  }
}

/** `standalone`, `cluster`, `sentinel`. By HELLO, which Redis has since 6.0 and even narrow users may use, or INFO. */
async function modeOf(client: RedisClientType): Promise<string | undefined> {
  try {
    return String((await client.hello()).mode)
  } catch {
    // An older server, or a user who may not.
    return /^redis_mode:(\w+)/m.exec(await client.info('server'))?.[1]
  }
}
