/**
 * The client for the server that a URI names, and whether that server can be a store. A node of a Redis Cluster keeps
 * only some of the keys, and a sentinel none: both take a connection as any server does, so each is asked for its kind.
 * The only file that knows kinds of servers and how they are connected to.
 */

import { once } from 'node:events'
import type { RedisClientOptions, RedisClientType } from '@keyv/redis'
import type { Keyv } from 'keyv'
import type { UserRecord } from '../device.ts'
import { keyvOver } from '../keyed-store.ts'
import { UnusableServer } from '../store.ts'

export interface Client {
  /** node-redis's own. */
  readonly redis: RedisClientType
  readonly keyv: Keyv<UserRecord>
  /** The texts under keys without namespace, undefined for those not there. */
  texts(keys: string[]): Promise<ReadonlyArray<string | undefined>>
  /**
   * Resolves when the server has answered or refused for the first time, and can be a store or does not let this user
   * know. Rejects with UnusableServer.
   */
  usable(): Promise<void>
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

const UNFIT: Readonly<Record<string, string>> = {
  cluster:
    'it is a node of a Redis Cluster, which keeps a part of the keys only; name a Redis server that is in no cluster',
  sentinel: 'it is a Redis Sentinel, which keeps no data; name the Redis server that it watches',
}

/**
 * Makes the client, which is not connected yet. It asks the server for its kind at each connection, since another may
 * have taken its place. `name` stands for the server in messages.
 */
export async function makeClient(uri: string, namespace: string, name: string): Promise<Client> {
  const { default: Adapter } = await import('@keyv/redis')
  const adapter = new Adapter<string>(clientOptions(uri), { namespace, throwOnErrors: true })
  const redis = adapter.client as RedisClientType
  let mode: Promise<string | undefined> | undefined
  redis.on('ready', () => {
    // Where the connection is lost meanwhile, the next one asks again.
    mode = modeOf(redis).catch(() => undefined)
  })
  const firstNews = once(redis, 'ready').catch(() => undefined)
  return {
    redis,
    keyv: keyvOver(adapter, namespace),
    texts: keys => adapter.getMany(keys),
    async usable() {
      await firstNews
      const unfit = UNFIT[(await mode) ?? '']
      if (unfit !== undefined) throw new UnusableServer(`${name}: ${unfit}`)
    },
  }
}

/** `standalone`, `cluster`, `sentinel`. By HELLO, which Redis has since 6.0 and even narrow users may use, or INFO. */
async function modeOf(redis: RedisClientType): Promise<string | undefined> {
  try {
    return String((await redis.hello()).mode)
  } catch {
    // An older server, or a user who may not.
    return /^redis_mode:(\w+)/m.exec(await redis.info('server'))?.[1]
  }
}
