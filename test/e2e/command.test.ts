import assert from 'node:assert/strict'
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { freePort, startServer } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { register } from './hears.ts'
import { type Ended, xaps } from './run.ts'
import { appleKeys, companionAnswers, iniText, type Site, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')
const TABLET = phoneOf('alice@example.com', 2)
const MASKED = `${ALICE.token.slice(0, 8)}…${ALICE.token.slice(-4)}`

test('the command beside a running Haraka', async t => {
  const { apple, ...site } = await startSite(t)
  await register(site, ALICE.user)
  await registerByLine(site.socket, TABLET)
  const inSite = (...args: string[]) => xaps(['-c', site.dir, ...args])

  await t.test('finds the Haraka directory', () => findsDirectory(site))
  await t.test('check finds everything in order', async () => {
    const { status, stdout } = await inSite('check')
    assert.equal(status, 0, stdout)
    assert.match(stdout, /^ok +credentials: .*XServer/m)
    assert.match(stdout, /^ok +localhost: credentials and topic accepted$/m)
    assert.match(stdout, /^ok +store lmdb:xaps: 2 devices of 1 users?$/m)
    assert.match(stdout, /^ok +companion at /m)
    assert.doesNotMatch(stdout, /^(?!ok )./m)
  })
  await t.test('check fails, and says why, when Apple is away', async () => {
    await apple.faults.refuse()
    const { status, stdout } = await inSite('check')
    await apple.heal()
    assert.equal(status, 1)
    assert.match(stdout, /^FAIL +localhost: no answer: .*ECONNREFUSED/m)
  })
  await t.test('status says that the companion serves', async () => {
    assert.equal((await inSite('status')).status, 0)
    const { stdout } = await inSite('status', '--json')
    assert.equal(JSON.parse(stdout).socket, site.socket)
  })
  await t.test('devices lists them, tokens masked', () => listsDevices(inSite))
  await t.test('push pushes each and says what Apple said', () => pushes(inSite, apple))
  await t.test('explain says who would hear', async () => {
    const { status, stdout } = await inSite('explain', 'Alice+x@example.com')
    assert.equal(status, 0)
    assert.match(stdout, /^new mail is told by Haraka's hooks \(\[delivery\] source = haraka\)$/m)
    assert.match(stdout, /^user: alice@example\.com$/m)
    assert.ok(stdout.includes(MASKED))
    assert.match((await inSite('explain', 'carol@example.com')).stdout, /no device/)
  })
  await t.test('forget removes by token, by account, or all', () => forgets(inSite))
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
  const temp = owned(t, tempDirectory())
  const apple = owned(t, await startApple())
  mkdirSync(path.join(temp.path, 'config'))
  const ini = { apns: appleKeys(apple, temp.path), store: { uri: 'lmdb:deep/xaps' } }
  writeFileSync(path.join(temp.path, 'config', 'xaps.ini'), iniText(ini))
  const inDirectory = (...args: string[]) => xaps(['-c', temp.path, ...args])
  const ended = await Promise.all(
    [['devices'], ['export'], ['explain', ALICE.user], ['push', ALICE.user], ['forget', ALICE.user]].map(
      args => inDirectory(...args),
    ),
  )
  assert.deepEqual(
    ended.map(({ status }) => status),
    [0, 0, 0, 1, 1],
  )
  for (const { stderr } of ended)
    assert.match(
      stderr,
      /^xaps: no device store in .*deep\/xaps yet; it is made when the first phone registers$/m,
    )
  const check = await inDirectory('check')
  assert.equal(check.status, 0, check.stdout)
  assert.match(
    check.stdout,
    /^ok +store lmdb:deep\/xaps: none yet; it is made when the first phone registers$/m,
  )
  assert.equal(existsSync(path.join(temp.path, 'deep')), false)
})

test('status, check and the others fail where they cannot do their work', async t => {
  const xapsIni = { registration: { enabled: 'false' } }
  const site = await startSite(t, { xaps: xapsIni, companion: false })
  const inSite = (...args: string[]) => xaps(['-c', site.dir, ...args])

  await t.test('status without a companion', async () => {
    const { status, stderr } = await inSite('status')
    assert.equal(status, 1)
    assert.match(stderr, /^xaps: no companion answers at .*xapsd\.sock/)
  })
  await t.test('a directory that is none of Haraka’s', async () => {
    const { status, stderr } = await xaps(['-c', '/nowhere', 'devices'])
    assert.deepEqual([status, stderr.split('\n').length], [1, 2], stderr)
  })
  await t.test('serve serves until it is told to end', () => serves(t, site))
})

test('serve ends when another process has the socket, also with a Redis that is connected', {
  skip: missingRedis(),
}, async t => {
  const redis = owned(t, await startRedis())
  const site = await startSite(t, { xaps: { store: { uri: redis.uri } } })
  const { status, stderr } = await xaps(['-c', site.dir, 'serve'])
  assert.equal(status, 1)
  assert.match(stderr, /^xaps: .*xapsd\.sock: another process serves it/m)
})

test('serve ends at a node of a Redis Cluster, with the reason', { skip: missingRedis() }, async t => {
  const args = ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())]
  const redis = owned(t, await startRedis({ args }))
  const site = await startSite(t, { xaps: { registration: { enabled: 'false' } }, companion: false })
  const ini = path.join(site.dir, 'config', 'xaps.ini')
  writeFileSync(ini, `${readFileSync(ini, 'utf8')}[store]\nuri = ${redis.uri}\n`)
  const { status, stderr } = await xaps(['-c', site.dir, 'serve'])
  assert.equal(status, 1)
  assert.match(stderr, /^xaps: Redis at .*: it is a node of a Redis Cluster/m)
})

async function findsDirectory(site: Site): Promise<void> {
  const nowhere = { env: { HARAKA: '/nowhere' }, cwd: '/' }
  const [before, ...others] = await Promise.all([
    xaps(['-c', site.dir, 'devices'], nowhere),
    xaps(['devices', '-c', site.dir], nowhere),
    xaps(['devices'], { env: { HARAKA: site.dir }, cwd: '/' }),
    xaps(['devices'], { cwd: site.dir }),
  ])
  assert.match(before.stdout, /^alice@example\.com/)
  for (const other of others) assert.deepEqual(other, before)
}

type Xaps = (...args: string[]) => Promise<Ended>

async function listsDevices(inSite: Xaps): Promise<void> {
  const json = async (...args: string[]) =>
    (await inSite('devices', ...args, '--json')).stdout
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

async function pushes(inSite: Xaps, apple: Apple): Promise<void> {
  apple.clear()
  assert.equal((await inSite('push', ALICE.user)).status, 0)
  assert.equal(apple.pushes.length, 2)
  apple.faults.answerDevice(ALICE.token, 'TooManyRequests')
  const one = await inSite('push', ALICE.user)
  assert.equal(one.status, 0, 'one of two is enough')
  assert.match(one.stdout, /TooManyRequests/)
  apple.faults.answer('TooManyRequests')
  assert.equal((await inSite('push', ALICE.user)).status, 1, 'Apple took none')
  await apple.heal()
  assert.equal((await inSite('push', 'carol@example.com')).status, 1, 'no device')
}

async function forgets(inSite: Xaps): Promise<void> {
  assert.equal((await inSite('forget', ALICE.user, '--token', 'ffff')).status, 1, 'no such device')
  const one = await inSite('forget', ALICE.user, '--token', TABLET.token.slice(0, 8))
  assert.deepEqual([one.status, one.stdout], [0, 'alice@example.com: 1 device removed\n'])
  assert.equal((await inSite('forget', ALICE.user, '--account', ALICE.account)).status, 0)
  assert.equal((await inSite('devices', ALICE.user)).stdout, '')
}

async function serves(t: TestContext, site: Site): Promise<void> {
  const main = path.join(__dirname, '../../plugins/xaps/cli/main.js')
  const server = owned(t, startServer(process.execPath, [main, '-c', site.dir, 'serve']))
  await companionAnswers(site)
  assert.match(await registerByLine(site.socket, ALICE), /^OK ./)
  assert.equal((await xaps(['-c', site.dir, 'status'])).status, 0)
  const second = await xaps(['-c', site.dir, 'serve'])
  assert.equal(second.status, 1, 'the socket is taken')
  assert.match(second.stderr, /another process serves it/)
  const ini = path.join(site.dir, 'config', 'xaps.ini')
  appendFileSync(ini, '[push]\nwindow = 61\n')
  process.kill(server.pid, 'SIGHUP')
  await server.waitForOutput(/xaps\.ini has changed and is in use changes="\[push\] window: \d+ -> 61"/)
  const another = /warn +the companion works with another configuration/
  assert.doesNotMatch((await xaps(['-c', site.dir, 'check'])).stdout, another)
  appendFileSync(ini, '[store]\nnamespace = other\n')
  assert.match((await xaps(['-c', site.dir, 'check'])).stdout, another)
  await server.end('SIGTERM')
  assert.throws(() => readFileSync(site.socket), { code: 'ENOENT' })
}
