/** What `xaps check` finds of store and spool: it writes as the user of the service, and leaves nothing behind. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { phoneOf, registerByLine } from '../../e2e/dovecot-plugins.ts'
import { asIds, run, serve, XAPS } from '../../e2e/run.ts'
import { type Directory, makeDirectory, OK, type Sections } from '../../e2e/setup.ts'
import { missingDovecot, startDovecot } from '../../support/dovecot.ts'
import { owned } from '../../support/owned.ts'
import { missingRedis, startRedis } from '../../support/redis.ts'
import { tempDirectory } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'
import { AS_NOBODY, check, finds, notRoot } from './findings.ts'

const ALICE = phoneOf('alice@example.com')

/** A service of nobody's in which a phone has registered, and which has ended. */
async function usedByNobody(t: TestContext, xaps: Sections = {}): Promise<Directory> {
  const here = await makeDirectory(t, { smtpIni: AS_NOBODY, xaps })
  const server = owned(t, await serve(here.dir))
  await until(async () => (await registerByLine(here.socket, ALICE)) === OK, 'the registration to be taken')
  await server.end('SIGTERM')
  return here
}

/** Names, owners and modes of all files below. */
function listing(dir: string): string[] {
  const names = fs.readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort()
  return names.map(name => {
    const { uid, gid, mode } = fs.lstatSync(path.join(dir, name))
    return `${name} ${uid} ${gid} ${mode.toString(8)}`
  })
}

function chownAll(dir: string, id: number): void {
  for (const name of ['', ...fs.readdirSync(dir)]) fs.chownSync(path.join(dir, name), id, id)
}

test('store and spool are written by the user of the service, and nothing of it stays', {
  skip: notRoot,
}, async t => {
  const here = await usedByNobody(t)
  const before = listing(here.dir)
  const { stdout } = await finds(here, 'ok', /store lmdb:xaps: 1 devices of 1 users$/)
  assert.match(stdout, /^ok +lmdb:xaps: nobody:nogroup can write it; [\d.]+ [MG]B free$/m)
  assert.match(stdout, /^ok +spool \S+xaps-spool: nobody:nogroup can write it; [\d.]+ [MG]B free$/m)
  assert.deepEqual(listing(here.dir), before)
  const { stdout: devices } = await here.xaps('export')
  assert.deepEqual(
    devices
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).user),
    [ALICE.user],
  )
})

test('a store that belongs to another user is found, with the chown that mends it', {
  skip: notRoot,
}, async t => {
  const here = await usedByNobody(t)
  const store = path.join(here.dir, 'xaps')
  chownAll(store, 0)
  fs.chmodSync(store, 0o755)
  for (const name of fs.readdirSync(store)) fs.chmodSync(path.join(store, name), 0o644)
  const mended = `chown -R nobody:nogroup ${store}`
  const { stdout } = await finds(
    here,
    'FAIL',
    new RegExp(`store lmdb:xaps: it takes no registration: .*may only be read.*; .*${mended}$`),
  )
  assert.ok(stdout.includes(mended))
  execFileSync('sh', ['-c', mended])
  await finds(here, 'ok', /lmdb:xaps: nobody:nogroup can write it/)
})

test('a store and a spool without access at all are found', { skip: notRoot }, async t => {
  const here = await usedByNobody(t)
  for (const name of ['xaps', 'xaps-spool', 'xaps-pending']) {
    chownAll(path.join(here.dir, name), 0)
    fs.chmodSync(path.join(here.dir, name), 0o700)
  }
  const { stdout } = await finds(here, 'FAIL', /store lmdb:xaps: .*chown -R nobody:nogroup \S+\/xaps$/)
  assert.match(
    stdout,
    /^FAIL +spool \S+: \S+ belongs to root:root, and .* may not write it: chown -R nobody:nogroup/m,
  )
  assert.match(
    stdout,
    /^warn +pending pushes \S+: \S+ belongs to root:root.*: chown -R nobody:nogroup \S+\/xaps-pending; until then/m,
  )
})

test('a directory above that the service may not enter is named, with the chmod', {
  skip: notRoot,
}, async t => {
  const here = await usedByNobody(t)
  const above = path.dirname(here.dir)
  fs.chmodSync(above, 0o700)
  const barrier = `nobody:nogroup may not enter ${above} \\(drwx------ root:root\\): chmod o\\+x ${above},`
  const { stdout } = await finds(here, 'FAIL', new RegExp(`store lmdb:xaps: ${barrier}`))
  assert.match(stdout, new RegExp(`^FAIL +spool \\S+: ${barrier}`, 'm'))
})

test('a directory that nobody can make is found before the first phone registers', {
  skip: notRoot,
}, async t => {
  const registration = { enabled: 'false' }
  const here = await makeDirectory(t, { smtpIni: AS_NOBODY, xaps: { registration } })
  const spool = path.join(here.dir, 'xaps-spool')
  const make = `install -d -o nobody -g nogroup -m 700 ${spool}`
  await finds(here, 'FAIL', new RegExp(`spool ${spool}: nobody:nogroup cannot make it: EACCES.*; ${make}$`))
  execFileSync('sh', ['-c', make])
  await finds(here, 'ok', new RegExp(`spool ${spool}: nobody:nogroup can write it`))
})

test('Haraka, which root starts, makes what is not there yet', { skip: notRoot }, async t => {
  // Under a directory of root's alone, as /etc/haraka is; /tmp is sticky.
  const here = await makeDirectory(t, { smtpIni: AS_NOBODY })
  const { status, stdout } = await check(here)
  assert.match(stdout, /^ok +store lmdb:xaps: none yet; it is made when the first phone registers$/m)
  assert.match(stdout, /^ok +spool \S+: none yet; Haraka, started by root, makes it for nobody:nogroup$/m)
  assert.equal(status, 0)
  assert.deepEqual(fs.readdirSync(here.dir), ['config'])
})

/** A small disk of its own; undefined where root may not mount one. */
function smallDisk(t: TestContext): string | undefined {
  const { path: dir, remove } = tempDirectory()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=0755', 'tmpfs', dir], { stdio: 'ignore' })
    t.after(() => {
      execFileSync('umount', [dir])
      remove()
    })
    return dir
  } catch {
    remove()
    return undefined
  }
}

test('a full disk is found, and where to make room', { skip: notRoot }, async t => {
  const disk = smallDisk(t)
  if (disk === undefined) return t.skip('not run: no file system can be mounted here')
  const here = await usedByNobody(t, { store: { uri: `lmdb:${disk}/xaps` } })
  await finds(here, 'warn', /lmdb:\S+: nobody:nogroup can write it; only [\d.]+ MB free: make room: df -h /)
  assert.throws(() => fs.writeFileSync(path.join(disk, 'filler'), Buffer.alloc(16_000_000)), /ENOSPC/)
  await finds(
    here,
    'FAIL',
    new RegExp(`store \\S+: it takes no registration: .*the disk is full.*; make room: df -h ${disk}/xaps$`),
  )
})

test('a user who is not the service is told that the answer is not for the service', {
  skip: notRoot,
}, async t => {
  const here = await makeDirectory(t, { smtpIni: AS_NOBODY })
  fs.chmodSync(here.keys, 0o755)
  const other = asIds({ uid: 12345, gid: 12345, groups: [] })
  const { stdout } = await run('setpriv', [
    ...other,
    process.execPath,
    XAPS,
    '-c',
    here.dir,
    'check',
    '--offline',
  ])
  assert.match(
    stdout,
    /^warn +this is 12345:12345, and the service runs as nobody:nogroup: .*sudo xaps check/m,
  )
})

test('a service whose user cannot run the program is told so', { skip: notRoot }, async t => {
  const here = await makeDirectory(t, { smtpIni: AS_NOBODY })
  const { path: hidden } = owned(t, tempDirectory())
  const dist = path.resolve(path.dirname(XAPS), '../../..')
  fs.cpSync(dist, path.join(hidden, 'dist'), { recursive: true, filter: name => !name.endsWith('/test') })
  fs.copyFileSync(path.resolve(dist, '../package.json'), path.join(hidden, 'package.json'))
  fs.symlinkSync(path.resolve(dist, '../node_modules'), path.join(hidden, 'node_modules'))
  fs.chmodSync(hidden, 0o700)
  const copied = path.join(hidden, path.relative(path.dirname(dist), XAPS))
  const { stdout } = await run(process.execPath, [copied, '-c', here.dir, 'check', '--offline'])
  assert.match(stdout, /^FAIL +nobody:nogroup, the user of the service, cannot run .*: Error: /m)
})

test('a store in Redis takes a change of the same kind, and has no key more than before', {
  skip: missingRedis(),
}, async t => {
  const redis = owned(t, await startRedis())
  const here = await makeDirectory(t, { xaps: { store: { uri: redis.uri } } })
  await redis.command('SET', 'xaps::device:bob', JSON.stringify({ value: { devices: [], gone: [] } }))
  await finds(here, 'ok', /redis\S+: \S+ can write it$/)
  assert.deepEqual(await redis.command('KEYS', '*'), ['xaps::device:bob'])
  await t.test('one that may not be written is found', async () => {
    await redis.command('CONFIG', 'SET', 'maxmemory', '1')
    await finds(here, 'FAIL', /store redis\S+: it takes no registration: .*OOM/)
  })
  await t.test('one that is away is found, with its address', async () => {
    await redis.kill()
    await finds(here, 'FAIL', new RegExp(`store redis\\S+: Redis at 127.0.0.1:${redis.port}: .*ECONNREFUSED`))
  })
})

test("Dovecot's userdb is asked by the user of the service, whom it may not answer", {
  skip: notRoot || missingDovecot(),
}, async t => {
  const { authUserdbPath: socket } = owned(t, await startDovecot({ users: [ALICE.user] }))
  const here = await makeDirectory(t, { smtpIni: AS_NOBODY, xaps: { users: { dovecot_userdb: socket } } })
  fs.chmodSync(socket, 0o660)
  const unanswered =
    /userdb \S+: Dovecot gives nobody:nogroup no answer: .*; .*needs group = nogroup and mode = 0660/
  await finds(here, 'warn', unanswered)
  fs.chownSync(socket, 0, 65534)
  await finds(here, 'ok', /userdb \S+: Dovecot answers nobody:nogroup$/)
})
