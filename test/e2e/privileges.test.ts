import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { freePort } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { xaps } from './run.ts'
import { appleKeys, mailTo, pluginLines, pushed, type Sections, type Site, startSite } from './setup.ts'

/** Debian's numbers of nobody and nogroup, and of a group that is neither. */
const NOBODY = 65534
const MAIL_GROUP = 8

const skip = process.getuid?.() !== 0 && 'not run: only root can start a Haraka that drops its privileges'

const ALICE = phoneOf('alice@example.com')
const BOB = phoneOf('bob@example.com')

for (const nodes of [0, 2]) {
  test(`a Haraka that starts as root and drops to nobody, with nodes=${nodes}`, { skip }, async t => {
    const { apple, site } = await droppedSite(t, nodes)

    await t.test('the socket is in a directory of root, with its mode and group', async () => {
      const { mode, uid, gid } = statSync(site.socket)
      assert.deepEqual([mode & 0o777, uid, gid], [0o660, NOBODY, MAIL_GROUP])
      assert.equal(await registerByLine(site.socket, ALICE), `OK ${MAIL_TOPIC}\r\n`)
      assert.equal(await registerByLine(site.socket, BOB), `OK ${MAIL_TOPIC}\r\n`)
    })
    await t.test('the companion is nobody, too', () => {
      const companion = site.children().find(({ command }) => / serve /.test(command))
      assert.deepEqual(idsOf(companion?.pid ?? 0), [NOBODY, NOBODY])
    })
    await t.test('the process that delivers pushes, with credentials that only root can read', async () => {
      await mailTo(site, ALICE.user)
      const [push] = await pushed(apple, site, 1)
      assert.equal(push?.token, ALICE.token)
    })
    await t.test('and writes to the store', async () => {
      apple.faults.answerDevice(BOB.token, 'Unregistered')
      await mailTo(site, BOB.user)
      await site.waitForLog(/device removed: Apple reports it gone/)
      assert.equal((await xaps(['-c', site.dir, 'devices', BOB.user])).stdout, '')
      assert.match((await xaps(['-c', site.dir, 'devices'])).stdout, /^alice@/)
    })
    await t.test('files on disk are theirs, and closed to others', () => {
      for (const file of ['xaps', ...filesIn(site, 'xaps')]) {
        const { mode, uid, gid } = statSync(path.join(site.dir, file))
        assert.deepEqual([uid, gid, mode & 0o007], [NOBODY, NOBODY, 0], file)
      }
    })
    await t.test('no warning was needed', () => {
      assert.doesNotMatch(pluginLines(site.log()).join('\n'), /\[(?:WARN|ERROR)\]/)
    })
  })
}

test('with privileges dropped, registrations wait in a spool while the store is away', { skip }, async t => {
  const uri = `redis://127.0.0.1:${await freePort()}`
  const { site } = await droppedSite(t, 0, { store: { uri } })
  assert.equal(await registerByLine(site.socket, ALICE), `OK ${MAIL_TOPIC}\r\n`)
  const [file = ''] = await until(() => filesIn(site, 'xaps-spool'), 'the spool')
  for (const [name, modes] of [
    ['xaps-spool', 0o700],
    [file, 0o660],
  ] as const) {
    const { mode, uid } = statSync(path.join(site.dir, name))
    assert.deepEqual([mode & 0o777, uid], [modes, NOBODY])
  }
})

test('without a Unix socket only HTTP is served, and nothing is tried again and again', { skip }, async t => {
  const site = await startSite(t, {
    user: 'nobody',
    group: 'nogroup',
    companion: false,
    xaps: { registration: { socket: '' } },
  })
  await site.waitForLog(/companion ready/)
  const health = await fetch(`http://127.0.0.1:${site.httpPort}/healthz`)
  assert.equal(health.status, 200)
  assert.doesNotMatch(pluginLines(site.log()).join('\n'), /cannot listen/)
})

async function droppedSite(
  t: TestContext,
  nodes: number,
  sections: Sections = {},
): Promise<{ apple: Apple; site: Site }> {
  const apple = owned(t, await startApple())
  const temp = owned(t, tempDirectory())
  const socket = path.join(temp.path, 'xapsd.sock')
  const keys = path.join(temp.path, 'keys')
  mkdirSync(keys, { mode: 0o700 })
  const apns = appleKeys(apple, keys)
  for (const name of readdirSync(keys)) chmodSync(path.join(keys, name), 0o600)
  const registration = { socket, socket_group: 'mail' }
  const site = await startSite(t, {
    apple,
    nodes,
    user: 'nobody',
    group: 'nogroup',
    xaps: { ...sections, apns, registration },
  })
  return { apple, site }
}

/** Effective user and group of a process. */
function idsOf(pid: number): number[] {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return ['Uid', 'Gid'].map(name => Number(new RegExp(`^${name}:\\t\\d+\\t(\\d+)`, 'm').exec(status)?.[1]))
}

function filesIn(site: Site, directory: string): string[] {
  return readdirSync(path.join(site.dir, directory)).map(name => path.join(directory, name))
}
