/** A Haraka that starts as root and drops its privileges: the owners of its files, and its socket's clients. */

import assert from 'node:assert/strict'
import { chownSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { findGroup } from '../../plugins/xaps/base/accounts.ts'
import { startDovecot } from '../support/dovecot.ts'
import { PASSWORD } from '../support/dovecot-conf.ts'
import { owned } from '../support/owned.ts'
import { descendantsOf, freePort, type Ids, idsOf } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { phoneOf, recorded, registerByLine } from './dovecot-plugins.ts'
import { askAs } from './run.ts'
import { isHealthy, OK, type SiteOptions, startSite } from './setup.ts'

/** Debian's numbers of nobody and nogroup, and of a group that is neither. */
const NOBODY = 65534
const MAIL_GROUP = 8
/** A mail user that is neither Haraka's nor in any group of the system. */
const MAIL_USER = 12345

const skip = process.getuid?.() !== 0 && 'not run: only root can start a Haraka that drops its privileges'

const ALICE = phoneOf('alice@example.com')
const BOB = phoneOf('bob@example.com')

const droppedSite = (t: TestContext, options: SiteOptions) =>
  startSite(t, { user: 'nobody', group: 'nogroup', ...options })

/** Whether a phone is registered that asks now; a companion that has no store yet refuses it. */
const isTaken = async (socket: string) => (await registerByLine(socket, ALICE)) === OK

/** Owner, group and permissions. */
function accessTo(...names: string[]): number[] {
  const { uid, gid, mode } = statSync(path.join(...names))
  return [uid, gid, mode & 0o777]
}

for (const nodes of [0, 2]) {
  test(`a Haraka that starts as root and drops to nobody, with nodes=${nodes}`, { skip }, async t => {
    const site = await droppedSite(t, { nodes, xaps: { registration: { socket_group: 'mail' } } })

    await t.test('the socket is in a directory of root, with its mode and group', async () => {
      assert.deepEqual(accessTo(site.socket), [NOBODY, MAIL_GROUP, 0o660])
      await site.register(ALICE, BOB)
    })
    await t.test('the companion is nobody, too', () => {
      const { uid, gid } = idsOf(site.companion())
      assert.deepEqual([uid, gid], [NOBODY, NOBODY])
    })
    await t.test('the process that delivers pushes, with credentials that only root can read', async () => {
      assert.deepEqual(accessTo(site.keys), [0, 0, 0o700])
      await site.mail(ALICE.user)
      await site.pushed(1)
      assert.deepEqual(site.tokens(), [ALICE.token])
    })
    await t.test('and writes to the store', async () => {
      site.apple.faults.answerDevice(BOB.token, 'Unregistered')
      await site.mail(BOB.user)
      await site.waitForLog(/device removed: Apple reports it gone/)
      assert.equal((await site.xaps('devices', BOB.user)).stdout, '')
      assert.match((await site.xaps('devices')).stdout, /^{"user":"alice@/)
    })
    await t.test('files on disk are theirs, and closed to others', () => {
      for (const file of ['.', ...readdirSync(path.join(site.dir, 'xaps'))]) {
        const [uid, gid, mode = 0] = accessTo(site.dir, 'xaps', file)
        assert.deepEqual([uid, gid, mode & 0o007], [NOBODY, NOBODY, 0], file)
      }
    })
    await t.test('no warning was needed', () => assert.deepEqual(site.lines(/\[(?:WARN|ERROR)\]/), []))
  })
}

test('with privileges dropped, registrations wait in a spool while the store is away', { skip }, async t => {
  const uri = `redis://127.0.0.1:${await freePort()}`
  const site = await droppedSite(t, { xaps: { store: { uri } }, companion: false })
  await until(() => isTaken(site.socket), 'the registration to be taken')
  const spool = path.join(site.dir, 'xaps-spool')
  const [file = ''] = await until(() => readdirSync(spool), 'the spool')
  assert.deepEqual(accessTo(spool), [NOBODY, NOBODY, 0o700])
  assert.deepEqual(accessTo(spool, file), [NOBODY, NOBODY, 0o660])
})

test('without a Unix socket only HTTP is served, and nothing is tried again and again', { skip }, async t => {
  const site = await droppedSite(t, { companion: false, xaps: { registration: { socket: '' } } })
  await site.waitForLog(/companion ready/)
  await until(() => isHealthy(site.httpPort), 'the companion by HTTP')
  assert.deepEqual(site.lines(/cannot listen/), [])
})

test("by default an imap process of Dovecot's can open the socket", { skip }, async t => {
  const { socket } = await droppedSite(t, { nodes: 1 })
  const imap = await imapProcess(t)
  assert.equal(imap.uid, MAIL_USER)
  assert.deepEqual(accessTo(socket), [NOBODY, findGroup('dovecot'), 0o660])
  const request = recorded('st3fan-reg-basic', ALICE)
  assert.equal(await askAs(imap, socket, request), OK)
  assert.equal(await askAs({ ...imap, groups: [] }, socket, request), 'EACCES')
})

test("a directory of Dovecot's that is not there is waited for, and stays Dovecot's", { skip }, async t => {
  const directory = path.join(owned(t, tempDirectory()).path, 'dovecot')
  const registration = { socket: path.join(directory, 'xapsd.sock') }
  const site = await droppedSite(t, { nodes: 1, xaps: { registration }, companion: false })
  await site.waitForLog(/no such directory: start Dovecot/)
  assert.equal(existsSync(directory), false)
  mkdirSync(directory, 0o755)
  await until(() => isTaken(site.socket), 'the registration to be taken')
  assert.deepEqual(accessTo(directory), [0, 0, 0o755])
})

/** The ids of a real imap process with a user logged in. */
async function imapProcess(t: TestContext): Promise<Ids> {
  const config = `mail_uid = ${MAIL_USER}\nmail_gid = ${MAIL_USER}`
  const dovecot = owned(t, await startDovecot({ users: [ALICE.user], imap: true, config }))
  chownSync(path.join(dovecot.dir, 'mail'), MAIL_USER, MAIL_USER)
  const client = net.connect(dovecot.imapPort, '127.0.0.1')
  t.after(() => client.destroy())
  let said = ''
  client.setEncoding('utf8').on('data', text => {
    said += text
  })
  client.write(`1 LOGIN ${ALICE.user} ${PASSWORD}\r\n`)
  await until(() => /^1 OK/m.test(said), `the login:\n${said}${dovecot.log()}`)
  const imap = descendantsOf(process.pid).find(({ command }) => /\bimap$/.test(command))
  return idsOf(imap?.pid ?? 0)
}
