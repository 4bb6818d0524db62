import { missingRedis } from '../../support/redis.ts'
import { startCluster, startWatched } from '../../support/redis-groups.ts'
import { storeContract } from '../contract.ts'

const skip = missingRedis()

storeContract('a master under sentinels', skip, async () => {
  const watched = await startWatched()
  return {
    uri: watched.uri,
    async writeRaw(namespace, key, text) {
      await watched.command('SET', `${namespace}::${key}`, text)
    },
    remove: watched.stop,
  }
})

storeContract('a Redis Cluster', skip, async () => {
  const cluster = await startCluster()
  return {
    uri: cluster.uri,
    async writeRaw(namespace, key, text) {
      await cluster.command(`${namespace}::${key}`, 'SET', `${namespace}::${key}`, text)
    },
    remove: cluster.stop,
  }
})
