/** Redis as it runs in production: a master and a replica under three sentinels, and a cluster of three masters. */

import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { createCluster } from '@keyv/redis'
import { command, type Redis, startRedis, startRedisProgram } from './redis.ts'
import { freePort, type ServerProcess } from './server.ts'
import { tempDirectory } from './temp.ts'
import { until } from './wait.ts'

export const MASTER = 'mymaster'

/** Replicas begin at once. */
const PROMPT = ['--repl-diskless-sync-delay', '0']

export interface Watched {
  /** redis+sentinel://, with all three. */
  readonly uri: string
  readonly master: Redis
  readonly replica: Redis
  readonly sentinels: readonly ServerProcess[]
  /** One command to the present master. */
  command(...words: string[]): Promise<unknown>
  /** Resolves when a sentinel has named a successor. */
  elected(): Promise<void>
  stop(): Promise<void>
}

/** Starts them, and resolves when the sentinels know each other and the replica. */
export async function startWatched(args: readonly string[] = []): Promise<Watched> {
  const temp = tempDirectory('xaps-sentinel-')
  const master = await startRedis({ args: [...PROMPT, ...args] })
  const replica = await startRedis({
    args: [...PROMPT, ...args, '--replicaof', '127.0.0.1', `${master.port}`],
  })
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const sentinels = await Promise.all(ports.map(port => startSentinel(temp.path, port, master.port)))
  for (const port of ports) await until(() => knowsAll(port), 'the sentinels to know each other')
  const masterPort = async () => {
    const said = await Promise.all(ports.map(port => viewOf(port)))
    const epoch = (view: Map<string, string>) => Number(view.get('config-epoch'))
    return said.sort((one, other) => epoch(other) - epoch(one))[0]?.get('port')
  }
  return {
    uri: `redis+sentinel://${ports.map(port => `127.0.0.1:${port}`).join(',')}/${MASTER}`,
    master,
    replica,
    sentinels,
    command: async (...words) => command(`redis://127.0.0.1:${await masterPort()}`, words),
    async elected() {
      const named = () => sentinels.some(sentinel => /\+switch-master/.test(sentinel.output()))
      await until(named, 'a successor')
    },
    async stop() {
      await Promise.all(sentinels.map(sentinel => sentinel.stop('SIGKILL')))
      await Promise.all([master.stop(), replica.stop()])
      temp.remove()
    },
  }
}

async function startSentinel(directory: string, port: number, masterPort: number): Promise<ServerProcess> {
  const file = path.join(directory, `${port}.conf`)
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${directory}`,
    `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} 2`,
    `sentinel down-after-milliseconds ${MASTER} 500`,
    `sentinel failover-timeout ${MASTER} 5000`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const server = startRedisProgram([file, '--sentinel'])
  await server.waitForOutput(/\+monitor/)
  return server
}

async function viewOf(port: number): Promise<Map<string, string>> {
  const fields = (await command(`redis://127.0.0.1:${port}`, ['SENTINEL', 'MASTER', MASTER])) as string[]
  return new Map(fields.flatMap((name, index) => (index % 2 === 0 ? [[name, fields[index + 1] ?? '']] : [])))
}

async function knowsAll(port: number): Promise<boolean> {
  const view = await viewOf(port)
  return view.get('num-other-sentinels') === '2' && view.get('num-slaves') === '1'
}

export interface Cluster {
  /** redis+cluster://, with the masters. */
  readonly uri: string
  readonly masters: readonly Redis[]
  readonly replicas: readonly Redis[]
  /** A node that is a master now and has one of `keys`, with those that it has. */
  masterWith(keys: readonly string[]): Promise<{ readonly node: Redis; readonly its: readonly string[] }>
  /** One command to the node with `key`. */
  command(key: string, ...words: string[]): Promise<unknown>
  stop(): Promise<void>
}

const SLOTS = 16_384
const MASTERS = 3

export interface ClusterOptions {
  readonly replicas?: boolean
  /** As redis-server takes them. */
  readonly args?: readonly string[]
  /** The arguments for TLS without ports; the URI is rediss+cluster:// then. */
  readonly tls?: readonly string[]
}

/** Starts three masters, and resolves when all slots are served; with a replica each, when those are in step. */
export async function startCluster({
  replicas = false,
  args = [],
  tls,
}: ClusterOptions = {}): Promise<Cluster> {
  const nodes = await Promise.all(
    Array.from({ length: replicas ? 2 * MASTERS : MASTERS }, () => startNode(args, tls)),
  )
  const masters = nodes.slice(0, MASTERS).map(({ redis }) => redis)
  for (const [index, master] of masters.entries()) {
    const edge = (number: number) => Math.floor((number * SLOTS) / MASTERS)
    await master.command('CLUSTER', 'ADDSLOTSRANGE', `${edge(index)}`, `${edge(index + 1) - 1}`)
    await master.command('CLUSTER', 'SET-CONFIG-EPOCH', `${index + 1}`)
  }
  for (const { redis, bus } of nodes)
    await masters[0]?.command('CLUSTER', 'MEET', '127.0.0.1', `${redis.port}`, `${bus}`)
  const info = async (redis: Redis, words: string[]) => String(await redis.command(...words))
  for (const { redis } of nodes) {
    const known = async () =>
      (await info(redis, ['CLUSTER', 'INFO'])).includes(`cluster_known_nodes:${nodes.length}`)
    await until(known, 'the nodes to know each other')
  }
  for (const [index, { redis }] of nodes.slice(MASTERS).entries()) {
    await redis.command('CLUSTER', 'REPLICATE', await info(masters[index] as Redis, ['CLUSTER', 'MYID']))
  }
  for (const { redis } of nodes) {
    await until(
      async () => (await info(redis, ['CLUSTER', 'INFO'])).includes('cluster_state:ok'),
      'the cluster',
    )
  }
  for (const master of replicas ? masters : []) {
    await until(
      async () => (await info(master, ['INFO', 'replication'])).includes('state=online'),
      'a replica',
    )
  }
  const hosts = nodes.slice(0, MASTERS).map(({ redis, tlsPort }) => `127.0.0.1:${tlsPort ?? redis.port}`)
  const uri = `redis${tls ? 's' : ''}+cluster://${hosts.join(',')}`
  return {
    uri,
    masters,
    replicas: nodes.slice(MASTERS).map(({ redis }) => redis),
    masterWith: keys =>
      masterWith(
        nodes.map(({ redis }) => redis),
        keys,
      ),
    command: (key, ...words) => clusterCommand(masters, key, words),
    async stop() {
      await Promise.all(nodes.map(({ redis }) => redis.stop()))
    },
  }
}

interface Node {
  readonly redis: Redis
  readonly bus: number
  readonly tlsPort: number | undefined
}

async function startNode(args: readonly string[], tls: readonly string[] | undefined): Promise<Node> {
  const bus = await freePort()
  const tlsPort = tls && (await freePort())
  const settings = {
    'cluster-enabled': 'yes',
    'cluster-port': bus,
    'cluster-node-timeout': 1_000,
    'cluster-require-full-coverage': 'no',
  }
  const words = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const secured = tls
    ? ['--tls-cluster', 'yes', '--tls-replication', 'yes', '--tls-port', `${tlsPort}`, ...tls]
    : []
  return { redis: await startRedis({ args: [...words, ...PROMPT, ...args, ...secured] }), bus, tlsPort }
}

async function masterWith(nodes: readonly Redis[], keys: readonly string[]) {
  for (const node of nodes) {
    const info = await node.command('INFO', 'replication').catch(() => '')
    if (!String(info).includes('role:master')) continue
    const there = (await node.command('KEYS', '*')) as string[]
    const its = keys.filter(key => there.includes(key))
    if (its.length > 0) return { node, its }
  }
  throw new Error('no master has any of these keys')
}

async function clusterCommand(
  masters: readonly Redis[],
  key: string,
  words: readonly string[],
): Promise<unknown> {
  const cluster = createCluster({ rootNodes: masters.map(({ uri }) => ({ url: uri })) })
  await cluster.connect()
  try {
    return await cluster.sendCommand(key, false, [...words])
  } finally {
    cluster.destroy()
  }
}
