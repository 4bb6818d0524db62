import assert from 'node:assert/strict'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { MAIL_TOPIC, pushCertificate } from '../fake/apple/certificates.ts'
import { startSmtpSink } from '../support/lmtp.ts'
import { owned } from '../support/owned.ts'
import { processEntry } from '../support/server.ts'
import { until } from '../support/wait.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { listener } from './hears.ts'
import { companionAnswers, iniText, type Sections, type Site, type SiteOptions, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')

/** A mistake → the one line in the log. */
const WRONG: Readonly<Record<string, readonly [Sections, RegExp]>> = {
  'a key that is none': [
    { push: { windw: 3 } },
    /config\/xaps\.ini: \[push\] windw = 3 .*unknown, expected .*window/,
  ],
  'a value out of range': [
    { apns: { port: 'https' } },
    /config\/xaps\.ini: \[apns\] port = https .*expected a whole number from 1 to 65535/,
  ],
  'no credentials': [{ apns: { certificate: '', key: '' } }, /config\/xaps\.ini: \[apns\] .*certificate/],
  'credentials that are not there': [
    { apns: { certificate: '/nowhere/push.pem' } },
    /config\/xaps\.ini: \[apns\] certificate = \/nowhere\/push\.pem/,
  ],
}

for (const [what, [xaps, said]] of Object.entries(WRONG)) {
  const nodes = what === 'a key that is none' ? 2 : 0
  test(`with ${what} there is one clear line, no push, and mail as ever, with nodes=${nodes}`, async t => {
    const site = await startSite(t, { nodes, xaps, companion: false })
    await site.mail(ALICE.user)
    await site.delivered(1)
    const lines = site.lines()
    assert.equal(lines.length, 1, lines.join('\n'))
    assert.match(lines[0] ?? '', /\[ERROR\]/)
    assert.match(lines[0] ?? '', said)
    assert.equal(existsSync(site.socket), false)
    assert.equal(site.children().length, nodes)
    assert.deepEqual([site.apple.requests.length, site.apple.connections.attempts], [0, 0])
  })
}

async function replaced(site: Site, is: (command: string) => boolean): Promise<void> {
  const first = site.children().find(({ command }) => is(command))?.pid ?? 0
  process.kill(first, 'SIGKILL')
  await until(() => !processEntry(first), 'its end')
  await until(() => site.children().some(({ pid, command }) => pid !== first && is(command)), 'the next one')
}

const isCompanion = (command: string) => / serve /.test(command)
const isWorker = (command: string) => !isCompanion(command)

test('half a file changes nothing for a worker or companion that starts again, and the log says so', async t => {
  const site = await startSite(t, { nodes: 1, xaps: { push: { window: 0 } } })
  await site.register(ALICE)
  const ini = path.join(site.dir, 'config', 'xaps.ini')
  writeFileSync(ini, '[apns]\ncertif')
  writeFileSync(path.join(site.keys, 'push.pem'), '-----BEGIN CERTI')
  const mailIsTaken = () => until(() => site.mail(ALICE.user).then(() => true), 'the mail')

  await t.test('the companion', async () => {
    await replaced(site, isCompanion)
    await companionAnswers(site)
    await site.register(ALICE)
  })
  await t.test('the worker', async () => {
    const listened = () => site.log().match(/listening on/gi)?.length ?? 0
    const before = listened()
    await replaced(site, isWorker)
    await until(() => listened() > before, 'the worker to listen')
    await mailIsTaken()
    assert.equal((await site.pushed(1))[0]?.token, ALICE.token)
  })
  await t.test('one line for each file', () => {
    const errors = () => site.lines(/\[ERROR\].*of no use/).toSorted()
    return until(() => errors().length >= 2, 'the lines').then(() => {
      assert.equal(errors().length, 2, errors().join('\n'))
      assert.match(errors().join('\n'), /the changed credentials are of no use; the old ones stay in use/)
      assert.match(errors().join('\n'), /xaps\.ini has changed and is of no use; nothing changes.*certif/)
    })
  })
})

/** A site whose xaps.ini changes. */
async function changingSite(t: TestContext, options: SiteOptions) {
  const site = await startSite(t, options)
  const ini = path.join(site.dir, 'config', 'xaps.ini')
  const first = readFileSync(ini, 'utf8')
  chmodSync(ini, 0o600)
  /** The lines that tell of a change. */
  const told = () => site.lines(/xaps\.ini has changed|needs a restart/)
  /** Sets keys anew, beside those of the start; resolves when there is a line for it. */
  const save = async (changed: Sections) => {
    const before = told().length
    writeFileSync(ini, first + iniText(changed))
    await until(() => told().length > before, 'the line for a change')
  }
  return { site, told, save }
}

const USERS = ['alice', 'bob', 'carol', 'dave', 'eve', 'frank'].map(name => phoneOf(`${name}@example.com`))
const SUBTOPIC = 'com.apple.mobilemail'
const OTHER_SUBTOPIC = 'com.example.other'
const OTHER_TOPIC = MAIL_TOPIC.replace(/.$/, digit => (digit === '0' ? '1' : '0'))

for (const nodes of [0, 2]) {
  test(`what changes in xaps.ini works in all processes, with nodes=${nodes}`, async t => {
    // Drops its privileges where that is possible; only root can read the files then.
    const dropped = nodes > 0 && process.getuid?.() === 0 ? { user: 'nobody', group: 'nogroup' } : {}
    const options = { nodes, ...dropped, xaps: { push: { window: 3600 } } }
    const { site, told, save } = await changingSite(t, options)
    const registered = (subtopic = SUBTOPIC) => {
      const change = (line: string) => line.replaceAll(SUBTOPIC, subtopic)
      return Promise.all(USERS.map(phone => registerByLine(site.socket, phone, change)))
    }
    const mailAll = async (detail = '') => {
      for (const { user } of USERS) await site.mail(user.replace('@', `${detail}@`))
    }
    await registered()
    await mailAll()
    await site.pushed(USERS.length)

    await t.test('the window, and how users are found, in the workers', async () => {
      await save({ push: { window: 0 }, users: { recipient_delimiter: '-' } })
      await mailAll('-detail')
      await site.pushed(2 * USERS.length)
    })
    await t.test('the rules for registrations, in the companion', async () => {
      assert.match((await registered(OTHER_SUBTOPIC)).join(), /^ERROR/)
      await save({ push: { window: 0 }, registration: { subtopics: OTHER_SUBTOPIC } })
      await until(async () => (await registered(OTHER_SUBTOPIC)).every(said => /^OK /.test(said)), 'OK')
    })
    await t.test('how much is logged, where Haraka has it', async () => {
      writeFileSync(path.join(site.dir, 'config', 'log.ini'), '[main]\nlevel=debug\n')
      await until(() => site.mail('nobody@example.com').then(() => site.log().includes('[DEBUG]')), 'a line')
    })
    const certificate = path.join(site.keys, 'other.pem')
    const apns = { certificate, key: '' }
    await t.test('the credentials, in both', async () => {
      const pair = pushCertificate({ topic: OTHER_TOPIC })
      writeFileSync(certificate, pair.certificate + pair.key, { mode: 0o600 })
      await save({ push: { window: 0 }, apns })
      const ok = `OK ${OTHER_TOPIC}\r\n`
      await until(async () => (await registered()).every(said => said === ok), 'the topic')
      await mailAll()
      const pushes = (await site.pushed(3 * USERS.length)).slice(2 * USERS.length)
      assert.deepEqual(new Set(pushes.map(({ headers }) => headers['apns-topic'])), new Set([OTHER_TOPIC]))
      await site.waitForLog(/\[DEBUG\].*\[xaps\] connecting to Apple/)
    })
    await t.test('each change has one line, from whichever number of processes', () => {
      assert.equal(told().length, 3, told().join('\n'))
      assert.match(told()[0] ?? '', /\[users\] recipient_delimiter: \+ -> -; \[push\] window: 3600 -> 0/)
    })
    await t.test('a change that needs a restart is only said', async () => {
      await save({ push: { window: 0 }, apns, registration: { socket: '/nowhere/xapsd.sock' } })
      assert.equal(told().length, 4, told().join('\n'))
      assert.match(told()[3] ?? '', /\[WARN\].*needs a restart.*\[registration\] socket: .* -> \/nowhere/)
      assert.match((await registered()).join(), /^OK /)
    })
  })
}

test('other domains are local from the moment on that they are set', async t => {
  const backend = owned(t, await startSmtpSink())
  const { site, save } = await changingSite(t, {
    domains: ['example.com', 'other.example', 'marker.example'],
    plugins: ['rcpt_to.in_host_list', 'queue/smtp_forward', 'xaps'],
    config: { 'smtp_forward.ini': `host=127.0.0.1\nport=${backend.port}\n` },
    xaps: { push: { window: 0 }, delivery: { domains: 'example.com, marker.example' } },
  })
  const users = [ALICE.user, 'bob@other.example'] as const
  await site.register(...users)
  const hears = await listener(site, 'u@marker.example')
  await hears(users, [users[0]])
  await save({ delivery: { domains: 'other.example, marker.example' } })
  await hears(users, [users[1]])
})
