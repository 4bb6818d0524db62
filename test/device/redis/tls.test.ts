/** Redis with TLS: an authority of one's own, certificates on both sides, and what is said when something is wrong. */

import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../../plugins/xaps/base/clock.ts'
import { RedisStore } from '../../../plugins/xaps/device/redis/store.ts'
import { xaps } from '../../e2e/run.ts'
import { makeAuthority, pushCertificate, serverCertificate } from '../../fake/apple/certificates.ts'
import { owned } from '../../support/owned.ts'
import { missingRedis, placeOf, startRedis } from '../../support/redis.ts'
import { startCluster } from '../../support/redis-groups.ts'
import { freePort } from '../../support/server.ts'
import { tempDirectory } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'
import { recordingLog, registering } from '../fixtures.ts'

const skip = missingRedis()

/** A directory with all certificates of a Redis and its client, which `issue` makes anew. */
function certificates(t: TestContext) {
  const temp = owned(t, tempDirectory())
  const at = (name: string) => path.join(temp.path, name)
  const issue = (authority = makeAuthority(), name = 'localhost') => {
    const server = serverCertificate(authority, name)
    const client = pushCertificate({ issuer: authority })
    writeFileSync(at('server.pem'), server.certificate)
    writeFileSync(at('server.key'), server.key)
    writeFileSync(at('ca.pem'), authority.certificate)
    writeFileSync(at('client.pem'), client.certificate)
    writeFileSync(at('client.key'), client.key, { mode: 0o600 })
  }
  issue()
  const own = { cert: 'server.pem', key: 'server.key', 'ca-cert': 'ca.pem' }
  // The nodes of a cluster are clients of each other.
  const files = { ...own, 'client-cert': 'client.pem', 'client-key': 'client.key' }
  const args = Object.entries(files).flatMap(([name, file]) => [`--tls-${name}-file`, at(file)])
  return { at, issue, args }
}

function open(t: TestContext, uri: string, at: (name: string) => string) {
  const { log } = recordingLog()
  const common = { namespace: 'xaps', expireAfterMs: 86_400_000, log, clock: systemClock }
  const files = { ca: at('ca.pem'), certificate: at('client.pem'), key: at('client.key') }
  return owned(t, new RedisStore({ ...common, ...files, place: placeOf(uri) }))
}

test('renewed files are read at the next connection', { skip }, async t => {
  const { at, issue, args } = certificates(t)
  const port = await freePort()
  const redis = owned(t, await startRedis({ args: [...args, '--port', '0', '--tls-port', `${port}`] }))
  const store = open(t, `rediss://localhost:${port}`, at)
  await store.update('alice', registering('aa'))
  await redis.kill()
  // Another authority: with what was read before, neither side would trust the other.
  issue()
  await redis.start()
  await until(() => store.update('alice', registering('bb')), 'a connection with the new files')
})

test('a cluster is connected to with the same files', { skip }, async t => {
  const { at, args } = certificates(t)
  const cluster = owned(t, await startCluster({ tls: args }))
  assert.match(cluster.uri, /^rediss/)
  const store = open(t, cluster.uri, at)
  const users = Array.from({ length: 20 }, (_, index) => `user${index}`)
  await Promise.all(users.map(user => store.update(user, registering('aa'))))
  const seen: string[] = []
  for await (const [user] of store.users()) seen.push(user)
  assert.deepEqual(seen.sort(), users.sort())
})

test('check says in one line what is wrong', { skip }, async t => {
  const { at, issue, args } = certificates(t)
  const authority = makeAuthority()
  issue(authority)
  const port = await freePort()
  const plain = await freePort()
  const secured = ['--port', `${plain}`, '--tls-port', `${port}`]
  const redis = owned(
    t,
    await startRedis({ args: [...args, ...secured, '--bind', '127.0.0.1', '127.0.0.2'] }),
  )
  mkdirSync(at('config'))

  async function check(store: Record<string, string>, host = 'localhost', scheme = 'rediss') {
    const all = {
      uri: `${scheme}://${host}:${port}`,
      ca: 'ca.pem',
      certificate: 'client.pem',
      key: 'client.key',
      ...store,
    }
    const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`)
    writeFileSync(at('config/xaps.ini'), `[store]\n${lines.join('\n')}\n`)
    const { stdout } = await xaps(['-c', path.dirname(at('ca.pem')), 'check', '--offline'])
    return stdout.split('\n').filter(line => / store redis/.test(line) || /\[store\]/.test(line))
  }
  const assertSaid = async (expected: RegExp, ...how: Parameters<typeof check>) => {
    const lines = await check(...how)
    assert.equal(lines.length, 1, lines.join('\n'))
    assert.match(lines[0] ?? '', expected)
  }

  await assertSaid(/^ok .*: 0 devices of 0 users$/, {})
  writeFileSync(at('other.pem'), makeAuthority().certificate)
  await assertSaid(/^FAIL .*\[store\] ca must name the authority that signed its certificate$/, {
    ca: 'other.pem',
  })
  await assertSaid(/^FAIL .*\[store\] ca must name the authority/, { ca: '' })
  await assertSaid(/^FAIL .*\[store\] ca: ENOENT: no such file or directory, open '\S+gone\.pem'$/, {
    ca: 'gone.pem',
  })
  await assertSaid(/^FAIL .*\[store\] key: ENOENT: /, { key: 'gone.key' })
  await assertSaid(/^FAIL .*; it may ask for a certificate \(\[store\] certificate and key\)$/, {
    certificate: '',
    key: '',
  })
  await assertSaid(/^FAIL .*Hostname\/IP does not match certificate's altnames: /, {}, '127.0.0.2')
  await assertSaid(/^FAIL .*; if it wants TLS, the URI begins with rediss$/, {}, 'localhost', 'redis')
  const withoutTls = await check({ uri: `redis://localhost:${plain}` })
  assert.equal(withoutTls.length, 2)
  assert.match(withoutTls[1] ?? '', /^warn +\[store\] ca, certificate and key have no effect/)
  rmSync(at('ca.pem'))
  await assertSaid(/^FAIL .*\[store\] ca: ENOENT/, {})
  await redis.kill()
})
