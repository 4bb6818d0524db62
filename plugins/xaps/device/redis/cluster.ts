/**
 * The client for a Redis Cluster. node-redis finds the server of a key and follows keys that move, but keeps to a master
 * that has died: here it is told to look again for as long as one does not answer. The other masters serve meanwhile.
 */

import { setTimeout } from 'node:timers/promises'
import type { RedisClientType, RedisClusterType } from '@keyv/redis'
import { within } from '../../base/deadline.ts'
import { addressOf } from '../../base/store-uri.ts'
import { keyvOver } from '../keyed-store.ts'
import type { Client, News } from './client.ts'
import { connectionOptions, type Library, type RedisOptions } from './options.ts'

const LOOK_AGAIN_MS = 500
const ANSWER_MS = 1_000

type Master = RedisClusterType['masters'][number]

export function clusterClient(library: Library, options: RedisOptions, news: News): Client {
  const { place, namespace } = options
  const adapter = new library.default<string>(
    {
      rootNodes: place.servers.map(server => ({ socket: { ...server } })),
      defaults: connectionOptions(options, place),
      // Otherwise it would wait for a master that is away before it serves the others.
      minimizeConnections: true,
    } as ConstructorParameters<Library['default']>[0],
    { namespace, throwOnErrors: true },
  )
  const cluster = adapter.client as unknown as RedisClusterType
  const look = looker(cluster, news)
  let lastError: unknown
  cluster.on('error', error => {
    lastError = error
  })
  cluster.on('node-error', (_error: unknown, { host, port }: { host: string; port: number }) => {
    const node = cluster.nodeByAddress.get(`${host}:${port}`)
    if (node?.client && !node.client.isOpen) dropClient(node)
    void look()
  })
  return {
    redis: cluster,
    keyv: keyvOver(adapter, namespace),
    hasSuccessors: true,
    async connect() {
      // Its own rejection says no more than that no node could be asked.
      await cluster.connect().catch((error: unknown) => {
        throw lastError ?? error
      })
      void look()
    },
    destroy() {
      for (const node of cluster.masters) dropClient(node)
      if (cluster.isOpen) cluster.destroy()
      news.ended()
    },
    // One by one, which the client sends in one go to each server: keys may move while they are listed.
    texts: keys => Promise.all(keys.map(key => adapter.get(key))),
    serverOf: async key =>
      (await cluster._slots.getClientAndSlotNumber(key, false)).client as unknown as RedisClientType,
    servers: () => Promise.all(cluster.masters.map(master => clientOf(cluster, master))),
    unanswered: () => void look(),
  }
}

function clientOf(cluster: RedisClusterType, master: Master): Promise<RedisClientType> {
  return cluster.nodeClient(master) as unknown as Promise<RedisClientType>
}

/** A client that has ended stays so; without it the next command connects anew. */
function dropClient(node: { client?: unknown }): void {
  const client = node.client as RedisClientType | undefined
  node.client = undefined
  if (client?.isOpen) client.destroy()
}

/**
 * Returns a function that asks all masters whether they are there, and goes on to look for their successors while one is
 * not. It resolves after the first round, and never rejects.
 */
function looker(cluster: RedisClusterType, news: News): () => Promise<void> {
  let first: Promise<void> | undefined

  async function round(): Promise<boolean> {
    const failures = await Promise.all(cluster.masters.map(master => failureOf(cluster, master)))
    const failure = failures.find(found => found !== undefined)
    if (failure) news.partlyAway(failure)
    else news.complete()
    return failure === undefined
  }

  async function goOn(): Promise<void> {
    for (;;) {
      await setTimeout(LOOK_AGAIN_MS, undefined, { ref: false })
      if (!cluster.isOpen) return
      await rediscover(cluster)
      if (!cluster.isOpen || (await round())) return
    }
  }

  return () => {
    first ??= round().then(complete => {
      if (complete) first = undefined
      else
        void goOn().finally(() => {
          first = undefined
        })
    })
    return first
  }
}

async function failureOf(cluster: RedisClusterType, master: Master): Promise<Error | undefined> {
  try {
    const answer = clientOf(cluster, master).then(client => client.ping())
    await within(answer, ANSWER_MS, 'it')
    return undefined
  } catch (error) {
    dropClient(master)
    return new Error(`${addressOf(master)}: ${String((error as Error).message)}`)
  }
}

/** Asks a master that is there, or else the nodes of the URI, where the keys are. Failures come as 'error' events. */
async function rediscover(cluster: RedisClusterType): Promise<void> {
  const there = cluster.masters.find(({ client }) => client?.isReady)
  const [root] = cluster._options.rootNodes
  const startWith = { options: there ? { socket: { host: there.host, port: there.port } } : root }
  await cluster._slots.rediscover(startWith as never).catch(() => undefined)
}
