import assert from 'node:assert/strict'
import { appendFileSync, existsSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { owned } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { freePort } from '../support/server.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { serve, xaps } from './run.ts'
import { type Directory, makeDirectory, OK, type Site, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')
const TABLET = phoneOf('alice@example.com', 2)
const MASKED = `${ALICE.token.slice(0, 8)}…${ALICE.token.slice(-4)}`

test('the command beside a running Haraka', async t => {
  const site = await startSite(t)
  const { apple } = site
  await site.register(ALICE, TABLET)

  await t.test('finds the Haraka directory', () => findsDirectory(site))
  await t.test('check finds everything in order', async () => {
    const { status, stdout } = await site.xaps('check')
    assert.equal(status, 0, stdout)
    assert.match(stdout, /^ok +credentials: .*XServer/m)
    assert.match(stdout, /^ok +localhost: credentials and topic accepted$/m)
    assert.match(stdout, /^ok +store lmdb:xaps: 2 devices of 1 users?$/m)
    assert.match(stdout, /^ok +companion at /m)
    assert.doesNotMatch(stdout, /^(?!ok )./m)
  })
  await t.test('check fails, and says why, when Apple is away', async () => {
    await apple.faults.refuse()
    const { status, stdout } = await site.xaps('check')
    await apple.heal()
    assert.equal(status, 1)
    assert.match(stdout, /^FAIL +localhost: no answer: .*ECONNREFUSED/m)
  })
  await t.test('status says that the companion serves', async () => {
    const { status, stdout } = await site.xaps('status')
    assert.equal(status, 0)
    assert.match(stdout, /^Ready: nothing has been pushed since the start\n/)
    assert.match(stdout, new RegExp(`^companion +${site.companion()} .* answers +never$`, 'm'))
    assert.match(stdout, /^Registrations +saved 2$/m)
    const data = JSON.parse((await site.xaps('status', '--json')).stdout)
    const { socket, pid, spooled, pending, configuration, events } = data
    assert.deepEqual([socket, pid, spooled, pending, events], [site.socket, site.companion(), 0, 0, 0])
    assert.match(`${data.store} ${configuration}`, /^\S+ \S+$/)
    assert.equal(data.health.state, 'works')
    assert.ok(data.up_seconds >= 0 && data.processes.length > 0, JSON.stringify(data))
  })
  await t.test('devices lists them, tokens masked', () => listsDevices(site))
  await t.test('push pushes each and says what Apple said', () => pushes(site))
  await t.test('explain says which phones would hear', async () => {
    const { status, stdout } = await site.xaps('explain', 'Alice+x@example.com')
    assert.equal(status, 0)
    assert.match(stdout, /^ok +new mail is told by Haraka's hooks \(\[delivery\] source = haraka\)$/m)
    assert.match(stdout, /^ok +user: alice@example\.com, by \[users\] username = address$/m)
    assert.ok(stdout.includes(MASKED))
    assert.match((await site.xaps('explain', 'carol@example.com')).stdout, /no device/)
  })
  await t.test('forget removes by token, by account, or all', () => forgets(site))
  await t.test('misuse ends with status 2', async () => {
    const misuses = [[], ['no-such-command'], ['push'], ['push', 'a', 'b'], ['devices', '--no-such-option']]
    const ended = await Promise.all([...misuses, ['--help']].map(args => xaps(args)))
    assert.deepEqual(
      ended.map(({ status }) => status),
      [2, 2, 2, 2, 2, 0],
    )
  })
})

test('commands that only read make no store, also as root', async t => {
  const here = await makeDirectory(t, { xaps: { store: { uri: 'lmdb:deep/xaps' } } })
  const none = /no(?:ne| device store in .*deep\/xaps) yet; it is made when the first phone registers$/m
  const { user } = ALICE
  const commands = [['devices'], ['export'], ['explain', user], ['push', user], ['forget', user], ['check']]
  const ended = await Promise.all(commands.map(args => here.xaps(...args)))
  assert.deepEqual(
    ended.map(({ status }) => status),
    [0, 0, 0, 1, 1, 0],
  )
  for (const { stdout, stderr } of ended) assert.match(`${stderr}${stdout}`, none)
  assert.equal(existsSync(path.join(here.dir, 'deep')), false)
})

test('status and devices fail where they cannot do their work', async t => {
  const here = await makeDirectory(t)
  const { status, stdout, stderr } = await here.xaps('status')
  assert.equal(status, 1)
  assert.match(stderr, /^xaps: no companion answers at .*xapsd\.sock: .*; is Haraka running\?$/m)
  assert.ok(stdout.startsWith(`Running        no companion of ${here.dir}\n`), stdout)
  assert.match(stdout, /^Apple +credentials for \S+XServer\S+, certificate: \d+ days, until 20\S+$/m)
  assert.match(stdout, /^Store +lmdb:xaps;.*\nSpool +empty\nVersion +\d\S+, configuration \S+$/m)
  assert.equal((await here.xaps('status', '--json')).stdout, '')
  const nowhere = await xaps(['-c', '/nowhere', 'devices'])
  assert.deepEqual([nowhere.status, nowhere.stderr.split('\n').length], [1, 2], nowhere.stderr)
})

test('serve serves until it is told to end, and no second one beside it', async t => {
  const here = await makeDirectory(t)
  const server = owned(t, await serve(here.dir))
  assert.equal(await registerByLine(here.socket, ALICE), OK)
  assert.equal((await here.xaps('status')).status, 0)
  await failsToServe(here, /xapsd\.sock: another process serves it/)
  await t.test('takes up a change at SIGHUP, and check says what differs', async () => {
    const change = (text: string) => appendFileSync(path.join(here.dir, 'config', 'xaps.ini'), text)
    const differs = /^warn +the companion works with another configuration/m
    change('[push]\nwindow = 61\n')
    process.kill(server.pid, 'SIGHUP')
    await server.waitForOutput(/xaps\.ini has changed and is in use changes="\[push\] window: 5 -> 61"/)
    assert.doesNotMatch((await here.xaps('check')).stdout, differs)
    change('[store]\nnamespace = other\n')
    assert.match((await here.xaps('check')).stdout, differs)
  })
  assert.equal(await server.end('SIGTERM'), 0)
  assert.equal(existsSync(here.socket), false)
})

test('serve ends when another process has the socket, also with a Redis that is connected', {
  skip: missingRedis(),
}, async t => {
  const redis = owned(t, await startRedis())
  const site = await startSite(t, { xaps: { store: { uri: redis.uri } } })
  await failsToServe(site, /xapsd\.sock: another process serves it/)
})

test('serve ends at a node of a Redis Cluster, with the reason', { skip: missingRedis() }, async t => {
  const args = ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())]
  const redis = owned(t, await startRedis({ args }))
  const here = await makeDirectory(t, { xaps: { store: { uri: redis.uri } } })
  await failsToServe(here, /Redis at .*: it is a node of a Redis Cluster/)
})

async function failsToServe(directory: Directory, reason: RegExp): Promise<void> {
  const { status, stderr } = await directory.xaps('serve')
  assert.equal(status, 1)
  assert.match(stderr, new RegExp(`^xaps: .*${reason.source}`, 'm'))
}

async function findsDirectory(site: Site): Promise<void> {
  const nowhere = { env: { HARAKA: '/nowhere' }, cwd: '/' }
  const [before, ...others] = await Promise.all([
    xaps(['-c', site.dir, 'devices'], nowhere),
    xaps(['devices', '-c', site.dir], nowhere),
    xaps(['devices'], { env: { HARAKA: site.dir }, cwd: '/' }),
    xaps(['devices'], { cwd: site.dir }),
  ])
  assert.equal(JSON.parse(before.stdout.split('\n')[0] ?? '').user, ALICE.user)
  for (const other of others) assert.deepEqual(other, before)
}

async function listsDevices(site: Site): Promise<void> {
  const json = async (...args: string[]) =>
    (await site.xaps('devices', ...args, '--json')).stdout
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line))
  const [first, ...others] = await json('Alice@Example.com')
  assert.equal(others.length, 1)
  const { registeredAt, lastSeen, ...device } = first
  assert.deepEqual(device, {
    user: ALICE.user,
    account: ALICE.account,
    token: MASKED,
    mailboxes: ['INBOX', 'Notes', 'Sent Messages'],
    subtopic: 'com.apple.mobilemail',
    topic: MAIL_TOPIC,
  })
  for (const time of [registeredAt, lastSeen]) assert.equal(new Date(time).toISOString(), time)
  assert.deepEqual(
    (await json('--full')).map(({ token }) => token).sort(),
    [ALICE.token, TABLET.token].sort(),
  )
  assert.deepEqual(await json('carol@example.com'), [])
}

async function pushes(site: Site): Promise<void> {
  const { apple } = site
  apple.clear()
  assert.equal((await site.xaps('push', ALICE.user)).status, 0)
  assert.equal(apple.pushes.length, 2)
  apple.faults.answerDevice(ALICE.token, 'TooManyRequests')
  const one = await site.xaps('push', ALICE.user)
  assert.equal(one.status, 0, 'one of two is enough')
  assert.match(
    one.stdout,
    / {2}not now: TooManyRequests(?: {2}apns-id [\dA-Fa-f-]{36})?\n {15}Apple has had too many pushes/,
  )
  apple.faults.answer('TooManyRequests')
  assert.equal((await site.xaps('push', ALICE.user)).status, 1, 'Apple took none')
  await apple.heal()
  assert.equal((await site.xaps('push', 'carol@example.com')).status, 1, 'no device')
}

async function forgets(site: Site): Promise<void> {
  assert.equal((await site.xaps('forget', ALICE.user, '--token', 'ffff')).status, 1, 'no such device')
  const one = await site.xaps('forget', ALICE.user, '--token', TABLET.token.slice(0, 8))
  assert.deepEqual([one.status, one.stdout], [0, 'alice@example.com: 1 device removed\n'])
  assert.equal((await site.xaps('forget', ALICE.user, '--account', ALICE.account)).status, 0)
  assert.equal((await site.xaps('devices', ALICE.user)).stdout, '')
}
