/** A master dies by kill -9 while phones register: what was acknowledged is there, and its successor is used soon. */

import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { systemClock } from '../../../plugins/xaps/base/clock.ts'
import { RedisStore } from '../../../plugins/xaps/device/redis/store.ts'
import type { DeviceStore } from '../../../plugins/xaps/device/store.ts'
import { owned } from '../../support/owned.ts'
import { missingRedis, placeOf } from '../../support/redis.ts'
import { type Cluster, startCluster, startWatched, type Watched } from '../../support/redis-groups.ts'
import { until } from '../../support/wait.ts'
import { recordingLog, registering } from '../fixtures.ts'

const skip = missingRedis()
const USERS = Array.from({ length: 30 }, (_, index) => `user${index}`)

function open(t: TestContext, uri: string) {
  const { log, lines } = recordingLog()
  const common = { namespace: 'xaps', expireAfterMs: 86_400_000, log, clock: systemClock }
  const store = new RedisStore({ ...common, place: placeOf(uri) })
  t.after(() => store.close())
  return { store, lines }
}

const keyOf = (user: string) => `xaps::device:${user}`
const KEYS = USERS.map(keyOf)

/** Registers device after device of each user until it is stopped, and keeps those that were acknowledged. */
function registerOnAndOn(store: DeviceStore) {
  const acknowledged: [user: string, token: string][] = []
  let on = true
  const lane = async (user: string) => {
    for (let index = 0; on; index++) {
      const token = `${user}-${index}`
      await store.update(user, registering(token)).then(
        () => acknowledged.push([user, token]),
        () => new Promise(resolve => setTimeout(resolve, 20)),
      )
    }
  }
  const ended = Promise.all(USERS.map(lane))
  const stop = async () => {
    on = false
    await ended
  }
  return { acknowledged, stop }
}

async function registerAll(store: DeviceStore) {
  for (const user of USERS) await until(() => store.update(user, registering('all')), 'a registration')
}

async function assertKept(store: DeviceStore, acknowledged: readonly (readonly [string, string])[]) {
  const stored = new Map<string, Set<string>>()
  for (const user of USERS) stored.set(user, new Set((await store.devices(user)).map(({ token }) => token)))
  const lost = acknowledged.filter(([user, token]) => !stored.get(user)?.has(token))
  assert.deepEqual(lost, [])
}

describe('a master under sentinels', { skip }, () => {
  let watched: Watched
  before(async () => {
    watched = await startWatched()
  })
  after(() => watched.stop())

  test('a change that no replica confirms is none, and lookups go on', async t => {
    const { store } = open(t, watched.uri)
    await store.update('alice', registering('aa'))
    watched.replica.signal('SIGSTOP')
    try {
      const changes = USERS.map(user =>
        assert.rejects(store.update(user, registering('bb')), /no replica has confirmed/),
      )
      await Promise.all(changes)
      // The change is in the master already: to find it there is no confirmation.
      const again = store.update('user0', record => record)
      await assert.rejects(again, /no replica has confirmed/)
      assert.equal((await store.devices('alice')).length, 1)
    } finally {
      watched.replica.signal('SIGCONT')
    }
    await until(() => store.update('alice', registering('cc')), 'the replica to confirm again')
  })

  test('its successor is used within three seconds of the election, and nothing acknowledged is lost', async t => {
    const { store, lines } = open(t, watched.uri)
    const writing = registerOnAndOn(store)
    await until(() => writing.acknowledged.length > 300, 'registrations')
    await watched.master.kill()
    await watched.elected()
    const before = Date.now()
    const already = writing.acknowledged.length
    await until(() => writing.acknowledged.length > already, 'a registration at the successor')
    const tookMs = Date.now() - before
    t.diagnostic(`used ${tookMs} ms after the election`)
    assert.ok(tookMs < 3_000, `${tookMs} ms`)
    await writing.stop()
    await assertKept(store, writing.acknowledged)
    const said = lines
      .filter(({ level }) => level === 'warn' || level === 'notice')
      .map(({ message }) => message)
    assert.deepEqual(
      said.map(message => message.replace(/^Redis Sentinel at \S+, \S+, \S+ \(master mymaster\) /, '')),
      ['is away', 'is back'],
    )
    const warnings = await store.warnings()
    assert.match(warnings.join('|'), /^Redis at 127\.0\.0\.1:\d+ has no replica online: /)
  })

  test('what keeps a client from the master is said', async t => {
    const wrong = open(t, watched.uri.replace('mymaster', 'another')).store
    await assert.rejects(
      wrong.devices('alice'),
      /\(master another\): .*the sentinel at 127\.0\.0\.1:\d+: .*No such master/,
    )
    const none = open(t, 'redis+sentinel://127.0.0.1:1/mymaster').store
    await assert.rejects(none.devices('alice'), /the sentinel at 127\.0\.0\.1:1: .*ECONNREFUSED/)
    const data = open(t, `redis+sentinel://127.0.0.1:${watched.replica.port}/mymaster`).store
    await assert.rejects(data.devices('alice'), /the sentinel at \S+: .*unknown command 'SENTINEL'/)
  })
})

test('a master under sentinels that is frozen is succeeded, and its return does no harm', {
  skip,
}, async t => {
  const watched = owned(t, await startWatched())
  const { store } = open(t, watched.uri)
  const writing = registerOnAndOn(store)
  await until(() => writing.acknowledged.length > 100, 'registrations')
  watched.master.signal('SIGSTOP')
  await watched.elected()
  const already = writing.acknowledged.length
  await until(() => writing.acknowledged.length > already + 100, 'registrations at the successor')
  watched.master.signal('SIGCONT')
  const follows = async () =>
    String(await watched.master.command('INFO', 'replication')).includes('role:slave')
  await until(follows, 'the old master to follow the new one', 30_000)
  await writing.stop()
  await assertKept(store, writing.acknowledged)
})

describe('a Redis Cluster', { skip }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: true })
  })
  after(() => cluster.stop())

  test('users on other masters are served without a pause, and nothing acknowledged is lost', async t => {
    const { store, lines } = open(t, cluster.uri)
    const writing = registerOnAndOn(store)
    await until(() => writing.acknowledged.length > 300, 'registrations')
    const { node: victim, its } = await cluster.masterWith(KEYS)
    const others = USERS.filter(user => !its.includes(keyOf(user)))
    const affected = USERS.find(user => !others.includes(user)) ?? ''
    assert.ok(others.length > 0)
    await victim.kill()
    let slowest = 0
    let back = false
    const returned = until(() => store.devices(affected), 'the successor').then(() => {
      back = true
    })
    while (!back) {
      const before = Date.now()
      await Promise.all(others.map(user => store.devices(user)))
      slowest = Math.max(slowest, Date.now() - before)
    }
    await returned
    t.diagnostic(`lookups of all others took ${slowest} ms at most`)
    assert.ok(slowest < 1_000, `${slowest} ms`)
    await until(() => store.update(affected, registering('after')), 'a registration at the successor')
    await writing.stop()
    await assertKept(store, writing.acknowledged)
    const listed = new Set<string>()
    for await (const [user] of store.users()) listed.add(user)
    assert.deepEqual([...listed].sort(), [...USERS].sort())
    const said = lines
      .filter(({ level }) => level === 'warn' || level === 'notice')
      .map(({ message }) => message)
    const news = said.map(message => message.replace(/^Redis Cluster at \S+, \S+, \S+ /, ''))
    assert.deepEqual(news, ['is partly away', 'is back'])
  })

  test('works again when all of it has been away', async t => {
    const { store } = open(t, cluster.uri)
    await until(() => store.update('alice', registering('aa')), 'a registration')
    const nodes = [...cluster.masters, ...cluster.replicas]
    await Promise.all(nodes.map(node => node.kill()))
    await assert.rejects(store.devices('alice'))
    await Promise.all(nodes.map(node => node.start()))
    await registerAll(store)
  })

  test('a master that is frozen is succeeded, and its return does no harm', async t => {
    const { store } = open(t, cluster.uri)
    await registerAll(store)
    const { node, its } = await cluster.masterWith(KEYS)
    const affected = USERS.filter(user => its.includes(keyOf(user)))
    node.signal('SIGSTOP')
    try {
      for (const user of affected)
        await until(
          () => store.update(user, registering('frozen')),
          'a registration at the successor',
          30_000,
        )
    } finally {
      node.signal('SIGCONT')
    }
    const role = async () => String(await node.command('INFO', 'replication')).includes('role:slave')
    await until(role, 'the old master to follow the new one')
    for (const user of affected)
      assert.ok((await store.devices(user)).some(({ token }) => token === 'frozen'))
  })

  test('starts while a master is away', async t => {
    await registerAll(open(t, cluster.uri).store)
    const { node } = await cluster.masterWith(KEYS)
    await node.kill()
    const { store } = open(t, cluster.uri)
    for (const user of USERS) await until(() => store.devices(user), 'a user to be served')
  })
})
