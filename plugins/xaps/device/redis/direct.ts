/**
 * The client for one server: the one that the URI names, or the master that its sentinels name. A node of a Redis Cluster
 * keeps only some of the keys, and a sentinel none: both take a connection as any server does, so the server is asked for
 * its kind.
 */

import type { RedisClientType } from '@keyv/redis'
import { addressOf, type RedisPlace, type Server } from '../../base/store-uri.ts'
import { keyvOver } from '../keyed-store.ts'
import { UnusableServer } from '../store.ts'
import type { Client, News } from './client.ts'
import { type Library, optionsFor, type RedisOptions } from './options.ts'
import { masterOf } from './sentinel.ts'

/** Makes the client, which is not connected yet. Rejects where the sentinels name no master. */
export async function directClient(library: Library, options: RedisOptions, news: News): Promise<Client> {
  const { form, servers } = options.place
  const server = form === 'sentinel' ? await masterOf(library, options) : servers[0]
  return clientOf(library, options, server as Server, news)
}

function clientOf(library: Library, options: RedisOptions, server: Server, news: News): Client {
  const { place, namespace } = options
  const { database } = place
  const adapter = new library.default<string>(
    { ...optionsFor(server, options, place), ...(database === 0 ? {} : { database }) },
    { namespace, throwOnErrors: true },
  )
  const redis = adapter.client as RedisClientType
  redis.on('error', error => {
    if (!redis.isReady) news.ended(error)
  })
  redis.on('end', () => news.ended())
  return {
    redis,
    keyv: keyvOver(adapter, namespace),
    hasSuccessors: place.form === 'sentinel',
    async connect() {
      await redis.connect()
      refuseUnfit(place, server, await kindOf(redis))
    },
    destroy() {
      // Not close(): that waits for answers that may never come.
      if (redis.isOpen) redis.destroy()
    },
    texts: keys => adapter.getMany(keys),
    serverOf: async () => redis,
    servers: async () => [redis],
    unanswered(silent) {
      // A connection whose other end has vanished is only noticed by its silence: TCP takes a quarter of an hour.
      if (silent && redis.isReady) redis.destroy()
    },
  }
}

interface Kind {
  /** `standalone`, `cluster`, `sentinel`; undefined where the user may not know. */
  readonly mode?: string | undefined
  readonly role?: string | undefined
}

/** By HELLO, which Redis has since 6.0 and even narrow users may use, or INFO. */
async function kindOf(redis: RedisClientType): Promise<Kind> {
  try {
    const { mode, role } = await redis.hello()
    return { mode: String(mode), role: String(role) }
  } catch (error) {
    // An older server, or a user who may not.
    if (!redis.isReady) throw error
  }
  try {
    const info = await redis.info()
    return { mode: /^redis_mode:(\w+)/m.exec(info)?.[1], role: /^role:(\w+)/m.exec(info)?.[1] }
  } catch (error) {
    if (!redis.isReady) throw error
    return {}
  }
}

function refuseUnfit({ tls, form }: RedisPlace, server: Server, { mode, role }: Kind): void {
  const scheme = tls ? 'rediss' : 'redis'
  const at = addressOf(server)
  if (mode === 'cluster') {
    throw new UnusableServer(
      `it is a node of a Redis Cluster, which keeps a part of the keys only; the URI of a cluster is ${scheme}+cluster://${at}`,
    )
  }
  if (mode === 'sentinel') {
    throw new UnusableServer(
      `it is a Redis Sentinel, which keeps no data; the URI of what it watches is ${scheme}+sentinel://${at}/MASTER`,
    )
  }
  // A sentinel that has not heard of the election yet names the old master.
  if (form === 'sentinel' && role !== undefined && role !== 'master') throw new Error(`${at} is no master`)
}
