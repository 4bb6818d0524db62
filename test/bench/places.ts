/** Where a device store may be, each kind started as the tests start it. Knows no benchmark. */

import { statSync } from 'node:fs'
import path from 'node:path'
import { owned, type Scope } from '../support/owned.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { startCluster } from '../support/redis-groups.ts'
import { tempDirectory } from '../support/temp.ts'

/** Redis would copy its whole append-only file beside what is measured, whenever the file has doubled. */
const NO_REWRITE = ['--auto-aof-rewrite-percentage', '0']

export interface Place {
  /** For [store] uri. */
  readonly uri: string
  /** The bytes that the store takes by now: of a file, or of the servers' memory. */
  size(): Promise<number>
}

/** Makes an empty place, which is gone with the scope. */
type MakePlace = (scope: Scope) => Promise<Place>

export const PLACES: Readonly<Record<string, MakePlace>> = {
  async LMDB(scope) {
    const { path: dir } = owned(scope, tempDirectory('xaps-bench-'))
    const file = path.join(dir, 'xaps', 'data.mdb')
    return { uri: `lmdb:${path.dirname(file)}`, size: async () => statSync(file).size }
  },
  async Redis(scope) {
    const server = owned(scope, await startRedis({ args: NO_REWRITE }))
    return { uri: server.uri, size: () => memoryOf([server]) }
  },
  async 'Redis Cluster'(scope) {
    // A node that a busy machine keeps from answering for a second must not count as dead.
    const args = ['--cluster-node-timeout', '15000', ...NO_REWRITE]
    const servers = owned(scope, await startCluster({ args }))
    return { uri: servers.uri, size: () => memoryOf(servers.masters) }
  },
}

async function memoryOf(servers: readonly Redis[]): Promise<number> {
  const infos = await Promise.all(servers.map(server => server.command('INFO', 'memory')))
  const used = (info: unknown) => Number(/^used_memory:(\d+)/m.exec(String(info))?.[1])
  return infos.reduce<number>((sum, info) => sum + used(info), 0)
}
