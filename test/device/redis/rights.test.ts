/** The rights that docs/redis.md names are enough, and nothing that is denied is asked for. */

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { addressOf } from '../../../plugins/xaps/base/store-uri.ts'
import { openStore } from '../../../plugins/xaps/device/open.ts'
import { xaps } from '../../e2e/run.ts'
import { pushCertificate } from '../../fake/apple/certificates.ts'
import { owned } from '../../support/owned.ts'
import { command, missingRedis, placeOf, type Redis, startRedis } from '../../support/redis.ts'
import { startCluster, startWatched } from '../../support/redis-groups.ts'
import { tempDirectory } from '../../support/temp.ts'
import { storeContract } from '../contract.ts'
import { registering, silentLog } from '../fixtures.ts'

const skip = missingRedis()
const page = readFileSync(path.join(__dirname, '../../../../docs/redis.md'), 'utf8')
const LINE = /^ACL SETUSER .*$/m.exec(page)?.[0] ?? ''
/** The page names the rights alone. */
const SENTINEL_RIGHTS = `ACL SETUSER asks on >SECRET -@all ${/(?<=sentinels `)[^`]+(?=` is enough)/.exec(page)}`
const LOGIN = 'xaps:PASSWORD@'

const withLogin = (uri: string) => uri.replace('://', `://${LOGIN}`)

/** Gives the user these rights on each server, and looks in the end whether a server has denied anything. */
async function limit(servers: readonly Redis[]) {
  for (const server of servers) await server.command(...LINE.split(' '))
  return async () => {
    for (const server of servers) assert.deepEqual(await server.command('ACL', 'LOG'), [])
  }
}

storeContract('Redis with the rights of docs/redis.md', skip, async () => {
  const redis = await startRedis()
  const assertNothingDenied = await limit([redis])
  return {
    uri: withLogin(redis.uri),
    prefix: 'xaps::',
    async writeRaw(namespace, key, text) {
      await redis.command('SET', `${namespace}::${key}`, text)
    },
    async remove() {
      await assertNothingDenied().finally(redis.stop)
    },
  }
})

describe('the commands, with the rights of docs/redis.md', { skip }, () => {
  const stops: (() => unknown)[] = []
  after(async () => {
    for (const stop of stops) await stop()
  })

  async function single() {
    const redis = await startRedis()
    stops.push(redis.stop)
    return { uri: `${redis.uri}/3`, servers: [redis] }
  }

  async function watched() {
    const group = await startWatched()
    stops.push(group.stop)
    for (const sentinel of placeOf(group.uri).servers)
      await command(`redis://${addressOf(sentinel)}`, SENTINEL_RIGHTS.split(' '))
    const uri = `${group.uri}?sentinel_username=asks&sentinel_password=SECRET`
    return { uri, servers: [group.master, group.replica] }
  }

  async function cluster() {
    const group = await startCluster({ replicas: true })
    stops.push(group.stop)
    return { uri: group.uri, servers: [...group.masters, ...group.replicas] }
  }

  for (const [name, start] of Object.entries({ single, watched, cluster })) {
    test(name, async t => {
      const { uri, servers } = await start()
      const assertNothingDenied = await limit(servers)
      const temp = owned(t, tempDirectory())
      mkdirSync(path.join(temp.path, 'config'))
      const { certificate, key } = pushCertificate()
      writeFileSync(path.join(temp.path, 'push.pem'), certificate + key, { mode: 0o600 })
      const ini = `[apns]\ncertificate = push.pem\n[store]\nuri = ${withLogin(uri)}\n`
      writeFileSync(path.join(temp.path, 'config', 'xaps.ini'), ini, { mode: 0o600 })

      const common = { namespace: 'xaps', expireAfterMs: 86_400_000, harakaDir: temp.path, log: silentLog }
      const store = owned(t, await openStore({ ...common, uri: withLogin(uri) }))
      await store.update('alice', registering('aa'.repeat(32)))
      assert.equal((await store.claim('push', { ageMs: 0, windowMs: 1_000 })).kind, 'granted')

      const check = await xaps(['-c', temp.path, 'check', '--offline'])
      assert.match(check.stdout, /^ok +store redis\S+: 1 devices of 1 users$/m)
      assert.doesNotMatch(check.stdout, /PASSWORD|SECRET|^FAIL|not let this user|replica/m)
      assert.equal(check.status, 0, check.stdout + check.stderr)
      assert.match((await xaps(['-c', temp.path, 'devices'])).stdout, /"user":"alice"/)
      const exported = await xaps(['-c', temp.path, 'export'])
      assert.match(exported.stdout, /"user":"alice"/)
      assert.equal((await xaps(['-c', temp.path, 'forget', 'alice'])).status, 0)
      assert.deepEqual(await store.devices('alice'), [])
      assert.equal(await store.sweep(), 0)
      await assertNothingDenied()
    })
  }
})
