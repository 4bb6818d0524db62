/** `xaps explain`: each way in which mail to an address does not reach a phone, and what it says of it. */

import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { missingDovecot, startDovecot } from '../support/dovecot.ts'
import { owned } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { missingTerminal, onTerminal } from '../support/terminal.ts'
import { until } from '../support/wait.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { serve, XAPS, xaps } from './run.ts'
import { type Directory, makeDirectory, type Sections, startSite } from './setup.ts'

const ALICE = 'alice@example.com'
const BOB = 'bob@example.com'
const NONE = `no device: not pushed: no phone has registered for this user, or not for too long`

/** A directory in which no Haraka runs, and phones in its store. */
async function imported(t: TestContext, sections: Sections, ...phones: object[]): Promise<Directory> {
  const here = await makeDirectory(t, { xaps: sections })
  const seen = new Date().toISOString()
  const common = { subtopic: 'com.apple.mobilemail', topic: MAIL_TOPIC, mailboxes: ['INBOX'] }
  const lines = phones.map(phone =>
    JSON.stringify({ ...common, registeredAt: seen, lastSeen: seen, ...phone }),
  )
  const { status, stderr } = await xaps(['-c', here.dir, 'import', '-'], { input: lines.join('\n') })
  assert.equal(status, 0, stderr)
  return here
}

const masked = ({ token }: { token: string }) => `${token.slice(0, 8)}…${token.slice(-4)}`

/** The lines that `patterns` match stand in `text`, in this order. */
function inOrder(text: string, ...patterns: RegExp[]): void {
  let from = 0
  for (const pattern of patterns) {
    const found = new RegExp(pattern.source, 'm').exec(text.slice(from))
    assert.ok(found, `${pattern} in\n${text}`)
    from += found.index + found[0].length
  }
}

test('beside a running Haraka', async t => {
  const site = await startSite(t, { xaps: { push: { window: 0 }, apns: { request_timeout: 1 } } })
  const { apple } = site
  await site.register(ALICE, 'carol')
  const explained = async (address: string) => {
    const { status, stdout } = await site.xaps('explain', address)
    return { status, stdout }
  }

  await t.test('the way of a mail that is pushed, with what follows it in the log', async () => {
    await site.mail(ALICE)
    await site.pushed(1)
    const done = async () => /last mail: 20/.test((await explained(ALICE)).stdout)
    await until(done, 'the report')
    const { status, stdout } = await explained('Alice+shop@example.com')
    assert.equal(status, 0)
    inOrder(
      stdout,
      /^ok {4}domain example\.com: local$/,
      /^ok {4}user: alice@example\.com, by \[users\] username = address$/,
      /^ok {4}new mail is told by Haraka's hooks/,
      /^ok {4}device \S+, last seen 20\S+Z: pushed$/,
      /^ok {4}last push to this user: begun just now$/,
      /^ok {4}a push last brought a phone of this user: not known/,
      /^ok {4}now: Push works: Apple accepted the last \w+ \d+ s ago$/,
      /^ok {4}last mail: 20\S+Z, pushed, and accepted by Apple \(mail (\S+)\)$/,
    )
    const [, uuid = ''] = /grep (\S+) in the log/.exec(stdout) ?? []
    assert.equal(site.lines(/decision=pushed/).filter(line => line.includes(uuid)).length, 1, stdout)
    const followed = site
      .log()
      .split('\n')
      .filter(line => line.includes(uuid))
    assert.ok(
      followed.some(line => /queue/i.test(line)),
      'SMTP is there',
    )
  })
  await t.test('a user with another form of name', async () => {
    const { status, stdout } = await explained('carol@example.com')
    assert.equal(status, 0)
    assert.ok(stdout.includes(`warn  ${NONE}\n`), stdout)
    const said =
      'warn  carol@example.com is unknown; carol has 1 device\n      → if both are one user: [users] username = local_part, or dovecot_userdb, whose answer wins\n'
    assert.ok(stdout.includes(said), stdout)
  })
  await t.test('a domain that is not local', async () => {
    assert.match(
      (await explained('alice@example.net')).stdout,
      /^warn {2}domain example\.net: local over LMTP only\n {6}→ mail that Haraka hands over by SMTP is not pushed: the domain is not local/,
    )
  })
  await t.test('while Apple is away', async () => {
    await apple.faults.refuse()
    apple.faults.resetConnections()
    await site.mail(ALICE)
    const waits = /^warn {2}last mail: 20\S+Z, waits for Apple, which cannot be reached or asks to wait/m
    const { status, stdout } = await until(async () => {
      const said = await explained(ALICE)
      return waits.test(said.stdout) ? said : undefined
    }, 'the mail to wait')
    assert.equal(status, 1)
    assert.match(
      stdout,
      /^FAIL {2}now: Apple cannot be reached; pushes wait: .* \(since 20\S+Z\); devices of all users that wait for a push: 1\n {6}→ is port 443/m,
    )
    await apple.heal()
    await site.pushed(2)
  })
  await t.test('a device that is gone is remembered', async () => {
    apple.faults.answerDevice(phoneOf(ALICE).token, 'Unregistered')
    await site.mail(ALICE)
    await until(async () => (await site.xaps('devices', ALICE, '--json')).stdout === '', 'it to be gone')
    const { stdout } = await explained(ALICE)
    inOrder(
      stdout,
      new RegExp(`^warn {2}${NONE}$`),
      new RegExp(`^warn {2}device ${masked(phoneOf(ALICE))}: Apple reported a device gone on 20\\S+Z$`),
      /^ {6}→ the account was removed from the phone, or it must register again/,
    )
    const json = (await site.xaps('explain', ALICE, '--json')).stdout.trimEnd().split('\n')
    const gone = json.map(line => JSON.parse(line)).find(step => 'goneAt' in step)
    const { about, level, token, account } = gone
    assert.deepEqual([about, level, token], ['device', 'warn', masked(phoneOf(ALICE))])
    assert.equal(account, phoneOf(ALICE).account)
  })
})

test('without a companion: what is known of devices, and what to do', async t => {
  const alice = phoneOf(ALICE)
  const left = { ...alice, account: 'LEFT', lastSeen: new Date(Date.now() - 3 * 86_400_000).toISOString() }
  const other = { ...phoneOf(ALICE, 2), topic: 'com.apple.mail.XServer.other' }
  const here = await imported(t, {}, alice, left, other)
  const { status, stdout, stderr } = await here.xaps('explain', ALICE)
  assert.deepEqual([status, stderr], [0, ''])
  inOrder(stdout, new RegExp(`^ok {4}device ${masked(alice)}, last seen 20\\S+Z: pushed$`))
  inOrder(
    stdout,
    new RegExp(
      `^warn {2}device ${masked(alice)}, .*: not pushed: the phone registers with another account id`,
    ),
    /^ {6}→ superseded: the newer registration/,
  )
  inOrder(
    stdout,
    new RegExp(`^warn {2}device ${masked(other)}, .*: not pushed: the phone listens to another topic`),
    /^ {6}→ it listens to com\.apple\.mail\.XServer\.other, and the credentials are for /,
    /^warn {2}no companion answers at \S+: .*phones cannot register/,
    /^ {6}→ is Haraka running\?; `xaps check` tries/,
    /^warn {2}last mail: not known without a companion\n {6}→ grep -F 'a\*\*\*@example\.com' in/,
  )
  const steps = (await here.xaps('explain', ALICE, '--json')).stdout.trimEnd().split('\n')
  const decisions = steps.map(line => JSON.parse(line)).filter(({ about }) => about === 'device')
  assert.deepEqual(
    decisions.map(({ account, decision = 'pushed' }) => [account, decision]).sort(),
    [
      [alice.account, 'pushed'],
      ['LEFT', 'superseded'],
      [other.account, 'other_topic'],
    ].sort(),
  )
})

test('without a socket there is no companion to ask', async t => {
  const here = await imported(t, { registration: { socket: '', listen: '127.0.0.1:11619' } }, phoneOf(ALICE))
  const { status, stdout } = await here.xaps('explain', ALICE)
  assert.equal(status, 0)
  inOrder(stdout, /^warn {2}\[registration\] socket is empty, so no companion can be asked$/)
  const asked = await here.xaps('status')
  assert.deepEqual([asked.status, asked.stdout], [1, ''])
  assert.equal(
    asked.stderr,
    'xaps: no companion can be asked: [registration] socket is empty; the status page is at http://127.0.0.1:11619/\n',
  )
})

test('without credentials devices are told all the same, and what is missing', async t => {
  const here = await imported(t, {}, phoneOf(ALICE))
  rmSync(path.join(here.keys, 'push.pem'))
  const { status, stdout } = await here.xaps('explain', ALICE)
  assert.equal(status, 1)
  inOrder(stdout, /^FAIL {2}credentials: .*push\.pem/, /^ok {4}device .*: pushed$/)
})

test('a store that is away is a step, and the companion is asked all the same', {
  skip: missingRedis(),
}, async t => {
  const redis = owned(t, await startRedis())
  const uri = redis.uri.replace('://', '://:secret@')
  const delivery = { source: 'events' }
  const here = await makeDirectory(t, { xaps: { store: { uri: redis.uri }, delivery } })
  owned(t, await serve(here.dir))
  await redis.kill()
  const { status, stdout, stderr } = await here.xaps('explain', ALICE)
  assert.equal(status, 1)
  inOrder(
    stdout,
    /^ok {4}user: alice@example\.com/,
    /^FAIL {2}store redis:\S+: .*: mail waits for the device store, which does not answer$/,
    /^ {6}→ is Redis up/,
    /^(?:ok|FAIL) +now: /,
    /^warn {2}no event of Dovecot's exporter has come since the companion started$/,
    /^ok {4}last mail: none of this user since 20\S+Z\n {6}→ that is, of this host/,
  )
  assert.ok(stderr.endsWith(`\nxaps: ${ALICE}: its mail wakes no phone now; FAIL says why\n`), stderr)
  const secret = await makeDirectory(t, { xaps: { store: { uri } } })
  assert.doesNotMatch((await secret.xaps('explain', ALICE)).stdout, /secret/)
})

test('a name that Dovecot does not know, and one that it answers', { skip: missingDovecot() }, async t => {
  const dovecot = owned(t, await startDovecot({ users: ['alice'], aliases: { [ALICE]: 'alice' } }))
  const users = { dovecot_userdb: dovecot.authUserdbPath }
  const here = await imported(t, { users }, { ...phoneOf('bob'), user: 'bob' })
  const { status, stdout, stderr } = await here.xaps('explain', BOB)
  assert.equal(status, 1)
  inOrder(
    stdout,
    /^FAIL {2}user: bob@example\.com is not pushed: Dovecot knows no such user$/,
    /^ {6}→ doveadm user bob@example\.com asks Dovecot the same$/,
    /^warn {2}bob@example\.com is unknown; bob has 1 device$/,
    /^ {6}→ if both are one user: Dovecot's userdb must answer the name that its auth gives at login/,
  )
  assert.match(stderr, /^xaps: bob@example\.com: /)
  assert.match((await here.xaps('explain', ALICE)).stdout, /^ok {4}user: alice, by Dovecot's userdb$/m)
  await dovecot.stop()
  const without = (await here.xaps('explain', ALICE)).stdout
  assert.match(
    without,
    /^warn {2}user: alice@example\.com, by \[users\] .*, for Dovecot's userdb does not answer: /m,
  )
})

test('lines are wrapped at a terminal, below their beginning', { skip: missingTerminal() }, async t => {
  const here = await imported(t, {}, phoneOf(ALICE))
  const words = [process.execPath, XAPS, '-c', here.dir, 'explain', ALICE]
  const { stdout } = await onTerminal(t, words, { env: { NO_COLOR: '1' } })
  assert.match(stdout, /^ok {4}device \S+, last seen 20\S+Z: pushed$/m)
  assert.match(stdout, /^ok {4}a push last brought a phone .*\n {6}\S/m)
  const marks = (await onTerminal(t, words)).stdout
  assert.ok(marks.includes('\x1b[32mok    \x1b[39m') && marks.includes('\x1b[33mwarn  \x1b[39m'), marks)
})
