import { missingRedis, startRedis } from '../support/redis.ts'
import { storeContract } from './contract.ts'

storeContract('Redis', missingRedis(), async () => {
  const redis = await startRedis()
  return {
    uri: redis.uri,
    async writeRaw(namespace, key, text) {
      await redis.command('SET', `${namespace}::${key}`, text)
    },
    remove: redis.stop,
  }
})
