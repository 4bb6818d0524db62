/** What `xaps check` finds of the other ways in: HTTP, the socket for events, and what Dovecot is told. */

import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { createServer } from 'node:http'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { run, serve } from '../../e2e/run.ts'
import { type Directory, makeDirectory } from '../../e2e/setup.ts'
import { dialectOf } from '../../support/dovecot-conf.ts'
import { listenLocally } from '../../support/loopback.ts'
import { missing } from '../../support/need.ts'
import { owned } from '../../support/owned.ts'
import { missingRedis, startRedis } from '../../support/redis.ts'
import { freePort } from '../../support/server.ts'
import { check, finds } from './findings.ts'

async function withListen(t: TestContext, xaps = {}): Promise<Directory & { address: string }> {
  const address = `127.0.0.1:${await freePort()}`
  const here = await makeDirectory(t, { xaps: { ...xaps, registration: { listen: address } } })
  return { ...here, address }
}

test('the companion answers at each address of listen, and is known there', async t => {
  const here = await withListen(t)
  await finds(here, 'warn', /HTTP at 127\.0\.0\.1:\d+: nothing listens there; is Haraka running\?$/)
  owned(t, await serve(here.dir))
  const { status } = await finds(here, 'ok', /HTTP at 127\.0\.0\.1:\d+: a companion with this store answers$/)
  assert.equal(status, 0)
})

test('a port that something else has is found, by name', async t => {
  const here = await withListen(t)
  const port = Number(here.address.split(':')[1])
  const taken = new RegExp(
    `HTTP at ${here.address}: something else has the port, node \\(process ${process.pid}\\) .*set \\[registration\\] listen and Dovecot's URL to another port$`,
  )
  await t.test('another HTTP server', async () => {
    const server = createServer((_, response) => response.end('ok\n')).listen(port, '127.0.0.1')
    await finds(here, 'FAIL', taken)
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  await t.test('one that is silent', async t => {
    const silent = createServer(() => undefined).listen(port, '127.0.0.1')
    t.after(() => silent.closeAllConnections())
    await finds(here, 'FAIL', taken)
    silent.closeAllConnections()
    await new Promise(resolve => silent.close(resolve))
  })
})

test('a companion with another store at the address is found', async t => {
  const other = await withListen(t)
  owned(t, await serve(other.dir))
  const here = await makeDirectory(t, { xaps: { registration: { listen: other.address } } })
  await finds(here, 'FAIL', /HTTP at \S+: a companion with another store answers \(node \(process \d+\)\)/)
})

test('an address that a running companion does not listen on is found', async t => {
  const here = await makeDirectory(t)
  owned(t, await serve(here.dir))
  const file = path.join(here.dir, 'config', 'xaps.ini')
  const listen = `listen = 127.0.0.1:${await freePort()}`
  fs.writeFileSync(file, `${fs.readFileSync(file, 'utf8')}\n[registration]\n${listen}\n`)
  await finds(here, 'FAIL', /HTTP at \S+: nothing listens there, though a companion runs: restart it/)
})

test('an address of another machine is found', async t => {
  const here = await makeDirectory(t, { xaps: { registration: { listen: 'no-such-host.invalid:11619' } } })
  await finds(here, 'FAIL', /HTTP at no-such-host\.invalid:11619: /)
})

test('a companion whose store is away says so at its address', { skip: missingRedis() }, async t => {
  const redis = owned(t, await startRedis())
  const here = await withListen(t, { store: { uri: redis.uri } })
  owned(t, await serve(here.dir))
  assert.equal((await check(here)).status, 0)
  await redis.kill()
  await finds(here, 'FAIL', /HTTP at \S+: the companion has no store at the moment: .*Redis at/)
})

test('the socket for events is connected to', async t => {
  const here = await makeDirectory(t, {
    xaps: { delivery: { source: 'events', events_socket: 'events.sock' } },
  })
  const events = path.join(here.dir, 'events.sock')
  await finds(here, 'warn', /events socket \S+events\.sock: .*ENOENT.*; is Haraka running\?$/)
  const server = owned(t, await serve(here.dir))
  await finds(here, 'ok', /events socket \S+events\.sock: takes connections$/)
  fs.rmSync(events)
  await finds(here, 'FAIL', /events socket \S+events\.sock: .*ENOENT.*; restart the companion/)
  await server.end('SIGTERM')
  owned(t, await listenLocally(socket => socket.resume(), events))
  await finds(here, 'ok', /events socket/)
})

test('Dovecot and the companion must be told the same place', {
  skip: missing('dovecot', 'doveconf'),
}, async t => {
  const version = (await run('dovecot', ['--version'])).stdout
  if (dialectOf(version) !== '2.3')
    return t.skip('not run: Dovecot 2.4 takes no settings of a plugin that is not there')
  const [here, other] = [await withListen(t), await makeDirectory(t)]
  const conf = path.join(here.keys, 'dovecot.conf')
  const told = (plugin: string) => {
    fs.writeFileSync(conf, `plugin {\n  push_notification_driver = xaps\n  ${plugin}\n}\n`)
    return { env: { CONFIG_FILE: conf } }
  }
  const same = /Dovecot's plugin connects to \S+$/
  await finds(here, 'ok', same, told(`xaps_socket = ${here.socket}`))
  await finds(here, 'ok', same, told(`xaps_config = url=http://${here.address} max_retries=0`))
  await finds(here, 'ok', same, told(`xaps_url = http://${here.address}`))
  assert.doesNotMatch((await check(here, told(''))).stdout, /Dovecot's plugin/)
  const socket =
    /Dovecot's plugin connects to \/var\/run\/dovecot\/xapsd\.sock \(doveconf -n\), since xaps_socket is not set, and \[registration\] socket = \S+: set the same/
  await finds(other, 'FAIL', socket, told(''))
  const url =
    /Dovecot's plugin connects to 127\.0\.0\.1:1 \(doveconf -n\), and \[registration\] listen = \S+: set the same/
  await finds(here, 'FAIL', url, told('xaps_url = http://127.0.0.1:1'))
})
