/**
 * What kind of Redis server answers. A node of a Redis Cluster keeps only some of the keys, and a sentinel none: both
 * take a connection as any server does, so each is asked what it is. Knows nothing of devices.
 */

import type { RedisClientType } from '@keyv/redis'

const UNFIT: Readonly<Record<string, string>> = {
  cluster:
    'it is a node of a Redis Cluster, which keeps a part of the keys only; name a Redis server that is in no cluster',
  sentinel: 'it is a Redis Sentinel, which keeps no data; name the Redis server that it watches',
}

/**
 * Asks the server at each connection. The function returned resolves when the server can be a store or does not let
 * this user know, and rejects with a reason when it cannot.
 */
export function watchKind(client: RedisClientType): () => Promise<void> {
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
