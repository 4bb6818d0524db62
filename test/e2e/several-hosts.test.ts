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
import { run, XAPS, xaps } from './run.ts'
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
    apple
      .waitFor(push => push.token === token)
      .catch(error => {
        throw new Error(`${error.message}:\n${mx.mx1.log()}${mx.mx2.log()}`)
      })

  /** Which of `phones` the store, asked from imap2, does not have. */
  const missingOf = async (phones: readonly Phone[]) => {
    const { stdout } = await xaps(['-c', hosts.directory('imap2', '/etc/xaps'), 'export'])
    return phones.filter(({ token }) => !stdout.includes(token))
  }

  await t.test('the commands print what the page says', async () => {
    for (const host of ['redis1', 'imap1'] as const)
      for (const { command, expected } of questionsOf(hosts, host))
        await until(
          async () => (await answerTo(hosts, host, command)) === expected,
          `${command}: ${expected}`,
        )
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
  await t.test('redis1 dies: nothing acknowledged is lost, no mail unheard of', async () => {
    apple.clear()
    let on = true
    const lane = async (host: 'imap1' | 'imap2') => {
      for (let number = 0; on; number++) await register(host, phoneOf(`${host}-${number}@example.org`))
    }
    const lanes = Promise.all([lane('imap1'), lane('imap2')])
    await until(() => acknowledged.length > 20, 'registrations')
    await Promise.all([master.end('SIGKILL'), sentinels[0]?.end('SIGKILL')])
    await mail('mx1', ALICE)
    const elected = () => sentinels.some(sentinel => /\+switch-master/.test(sentinel.output()))
    await until(elected, 'a successor', 30_000)
    on = false
    await lanes
    await register('imap1', CAROL)
    await until(async () => (await missingOf(acknowledged)).length === 0, 'all that was acknowledged')
    await pushed(ALICE)
    await mail('mx2', CAROL)
    await pushed(CAROL)
  })
  await t.test('redis1 returns and follows the new master', async () => {
    await startRedisOn(t, hosts, 'redis1')
    const role = () => answerTo(hosts, 'redis1', `ask -h ${hosts.address('redis1')} INFO replication`)
    await until(async () => /^role:slave$/m.test(await role()), 'it to be a replica', 30_000)
    await until(async () => /^master_link_status:up$/m.test(await role()), 'it to have all')
    assert.deepEqual(await missingOf(acknowledged), [])
  })
  await t.test('no server has denied anything, and none lets in a client without a certificate', async () => {
    for (const [host, port] of [
      ['redis1', 6379],
      ['redis2', 6379],
      ['redis2', 26_379],
      ['mx1', 26_379],
    ] as const) {
      const at = `-h ${hosts.address(host)} -p ${port}`
      assert.equal(await answerTo(hosts, 'redis1', `ask ${at} ACL LOG`), '', at)
      const bare = `redis-cli --tls --cacert ${hosts.directory('redis1', '/etc/redis')}/ca.pem ${at} PING`
      const { status, stderr } = await run('sh', ['-c', bare])
      assert.notEqual(status, 0, stderr)
    }
  })
})

/** The lines with a prompt in the commands of `host`, and what stands below each. */
function questionsOf(hosts: Hosts, host: Host) {
  const [, ...questions] = hosts.text(host, 'commands').split(/^\$ /m)
  return questions.map(text => {
    const [command = '', ...expected] = text.trim().split('\n')
    return { command, expected: expected.join('\n') }
  })
}

/** What `command` prints; it must succeed. Before it stand the lines of `host` without a prompt. */
async function answerTo(hosts: Hosts, host: Host, command: string): Promise<string> {
  const [definitions = ''] = hosts.text(host, 'commands').split(/^\$ /m)
  const own = `xaps() { '${process.execPath}' '${XAPS}' "$@"; }\n`
  const { status, stdout, stderr } = await run('sh', ['-c', `${own}${definitions}${command}`])
  assert.equal(status, 0, stderr)
  return stdout.replaceAll('\r', '').trim()
}
