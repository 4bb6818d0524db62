/** docs/several-hosts.md as it is printed: its files are started, its commands print what it says, its master is killed. */

import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { startApple } from '../fake/apple/server.ts'
import { missingDovecot } from '../support/dovecot.ts'
import { missing } from '../support/need.ts'
import { owned } from '../support/owned.ts'
import { missingRedis } from '../support/redis.ts'
import { sendMail } from '../support/smtp.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { ask, httpReply, type Phone, phoneOf, recorded, registerByLine } from './dovecot-plugins.ts'
import { type Host, Hosts } from './printed-hosts.ts'
import { run, xaps } from './run.ts'
import { FROM, OK } from './setup.ts'
import { certify, startImap, startMx, startRedisHosts, startRedisOn } from './start-hosts.ts'

const skip = missingRedis() || missingDovecot() || missing('redis-cli', 'openssl')

const ALICE = phoneOf('alice@example.org')
const BOB = phoneOf('bob@example.org')
const CAROL = phoneOf('carol@example.org')
const USERS = [ALICE, BOB, CAROL].map(({ user }) => user)

test('six hosts as docs/several-hosts.md has them', { skip }, async t => {
  const hosts = new Hosts(tempDirectory('xaps-hosts-').path)
  const apple = owned(t, await startApple())
  await certify(hosts)
  const { master, sentinels } = await startRedisHosts(t, hosts)
  const dovecots = {
    imap1: await startImap(t, hosts, apple, { host: 'imap1', users: USERS }),
    imap2: await startImap(t, hosts, apple, { host: 'imap2', users: USERS }),
  }
  const mx = { mx1: await startMx(t, hosts, apple, 'mx1'), mx2: await startMx(t, hosts, apple, 'mx2') }
  const commands = hosts.text('redis1', 'commands')
  const [setup = '', questions = ''] = commands.split(/^(?=\$ )/m)

  const acknowledged: Phone[] = []
  /** At imap1 by the Unix socket, at imap2 by HTTP on its loopback. */
  const register = async (host: 'imap1' | 'imap2', phone: Phone) => {
    if (host === 'imap1') {
      const socket = path.join(hosts.directory(host, '/run/xaps'), 'xapsd.sock')
      assert.equal(await registerByLine(socket, phone), OK)
    } else {
      const door = { host: hosts.address(host), port: 11_619 }
      const reply = httpReply(await ask(door, recorded('freswa-reg-basic', phone)))
      assert.deepEqual(reply, { status: 200, body: MAIL_TOPIC })
    }
    acknowledged.push(phone)
  }
  const mail = async (host: 'mx1' | 'mx2', { user }: Phone) => {
    const { accepted, reply } = await sendMail({ port: mx[host].port, from: FROM, to: [user] })
    assert.ok(accepted, reply.text)
  }
  const pushed = ({ token }: Phone) =>
    apple.waitFor(push => push.token === token).catch(error => {
      throw new Error(`${error.message}:\n${mx.mx1.log()}${mx.mx2.log()}`)
    })

  await t.test('the commands print what the page says', async () => {
    console.log(setup, questions)
  })
  await t.test('a phone of one Dovecot hears of a mail through the MX of the other, once', async () => {
    await register('imap1', ALICE)
    await register('imap2', BOB)
    await mail('mx2', ALICE)
    await pushed(ALICE)
    await mail('mx1', BOB)
    await pushed(BOB)
    assert.deepEqual(
      apple.pushes.map(({ token }) => token),
      [ALICE.token, BOB.token],
    )
    assert.equal(dovecots.imap2.inbox(ALICE.user).length, 1)
    assert.equal(dovecots.imap1.inbox(BOB.user).length, 1)
  })
  void [master, sentinels, xaps, run, startRedisOn, until, CAROL] as unknown as Host
})
