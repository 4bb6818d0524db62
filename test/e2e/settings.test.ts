import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { MAIL_TOPIC, pushCertificate } from '../fake/apple/certificates.ts'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { accepts, freePort, processEntry } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import {
  appleKeys,
  companionAnswers,
  iniText,
  mailTo,
  pluginLines,
  pushed,
  type Sections,
  type Site,
  startSite,
} from './setup.ts'

const ALICE = phoneOf('alice@example.com')

async function clusterSite(t: TestContext): Promise<{ site: Site; apple: Apple; keys: string }> {
  const apple = owned(t, await startApple())
  const temp = owned(t, tempDirectory())
  const apns = appleKeys(apple, temp.path)
  const site = await startSite(t, { apple, nodes: 1, xaps: { apns, push: { window: 0 } } })
  return { site, apple, keys: temp.path }
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
  const { site, apple, keys } = await clusterSite(t)
  await registerByLine(site.socket, ALICE)
  const ini = path.join(site.dir, 'config', 'xaps.ini')
  writeFileSync(ini, '[apns]\ncertif')
  writeFileSync(path.join(keys, 'push.pem'), '-----BEGIN CERTI')

  await t.test('the companion', async () => {
    await replaced(site, isCompanion)
    await companionAnswers(site)
    assert.match(await registerByLine(site.socket, ALICE), /^OK ./)
  })
  await t.test('the worker', async () => {
    const listened = site.log().match(/Listening on|listening on/g)?.length ?? 0
    await replaced(site, isWorker)
    await until(
      () => (site.log().match(/Listening on|listening on/g)?.length ?? 0) > listened,
      'the worker to listen',
    )
    await until(() => mailTo(site, ALICE.user).then(() => true), 'the mail')
    assert.equal((await pushed(apple, site, 1))[0]?.token, ALICE.token)
  })
  await t.test('one line for each file', () => {
    const isError = (line: string) => line.includes('[ERROR]') && line.includes('of no use')
    const errors = () => pluginLines(site.log()).filter(isError).toSorted()
    return until(() => errors().length >= 2, 'the lines').then(() => {
      assert.equal(errors().length, 2, errors().join('\n'))
      assert.match(errors().join('\n'), /the changed credentials are of no use; the old ones stay in use/)
      assert.match(errors().join('\n'), /xaps\.ini has changed and is of no use; nothing changes.*certif/)
    })
  })
})

const USERS = ['alice', 'bob', 'carol', 'dave', 'eve', 'frank'].map(name => phoneOf(`${name}@example.com`))
const OTHER_SUBTOPIC = 'com.example.other'
const OTHER_TOPIC = MAIL_TOPIC.replace(/.$/, digit => (digit === '0' ? '1' : '0'))

/** A Haraka that drops its privileges where that is possible, with files that only root can read then. */
async function changingSite(t: TestContext, nodes: number) {
  const apple = owned(t, await startApple())
  const temp = owned(t, tempDirectory())
  const keys = path.join(temp.path, 'keys')
  mkdirSync(keys, { mode: 0o700 })
  const dropped = nodes > 0 && process.getuid?.() === 0 ? { user: 'nobody', group: 'nogroup' } : {}
  const apns = appleKeys(apple, keys)
  const socket = path.join(temp.path, 'xapsd.sock')
  const registration = { socket, listen: `127.0.0.1:${await freePort()}` }
  const first: Sections = { apns, push: { window: 3600 }, registration }
  const site = await startSite(t, { apple, nodes, ...dropped, companion: false, xaps: first })
  await until(() => accepts({ path: socket }), 'the companion')
  const ini = path.join(site.dir, 'config', 'xaps.ini')
  chmodSync(ini, 0o600)
  /** The lines that tell of a change of xaps.ini; resolves when there is one more. */
  const told = () =>
    pluginLines(site.log()).filter(line => /xaps\.ini has changed|needs a restart/.test(line))
  const save = async (sections: Sections) => {
    const before = told().length
    writeFileSync(ini, iniText(sections))
    await until(() => told().length > before, 'the line for a change')
  }
  const registered = (subtopic = 'com.apple.mobilemail') =>
    Promise.all(
      USERS.map(phone =>
        registerByLine(socket, phone, line => line.replaceAll('com.apple.mobilemail', subtopic)),
      ),
    )
  return { apple, site, keys, first, told, save, registered }
}

for (const nodes of [0, 2]) {
  test(`what changes in xaps.ini works in all processes, with nodes=${nodes}`, async t => {
    const { apple, site, keys, first, told, save, registered } = await changingSite(t, nodes)
    const mailAll = async (detail: string) => {
      for (const { user } of USERS) await mailTo(site, user.replace('@', `${detail}@`))
    }
    await registered()
    await mailAll('')
    await pushed(apple, site, USERS.length)

    await t.test('the window, and how users are found, in the workers', async () => {
      await save({ ...first, push: { window: 0 }, users: { recipient_delimiter: '-' } })
      await mailAll('-detail')
      await pushed(apple, site, 2 * USERS.length)
    })
    await t.test('the rules for registrations, in the companion', async () => {
      assert.match((await registered(OTHER_SUBTOPIC)).join(), /^ERROR/)
      const registration = { ...first.registration, subtopics: OTHER_SUBTOPIC }
      await save({ ...first, push: { window: 0 }, registration })
      await until(async () => (await registered(OTHER_SUBTOPIC)).every(said => /^OK /.test(said)), 'OK')
    })
    await t.test('the credentials, in both', async () => {
      const pair = pushCertificate({ topic: OTHER_TOPIC })
      const certificate = path.join(keys, 'other.pem')
      writeFileSync(certificate, pair.certificate + pair.key, { mode: 0o600 })
      await save({ ...first, push: { window: 0 }, apns: { ...first.apns, certificate, key: '' } })
      await until(
        async () => (await registered()).every(said => said === `OK ${OTHER_TOPIC}\r\n`),
        'the topic',
      )
      await mailAll('')
      const pushes = (await pushed(apple, site, 3 * USERS.length)).slice(2 * USERS.length)
      assert.deepEqual(new Set(pushes.map(({ headers }) => headers['apns-topic'])), new Set([OTHER_TOPIC]))
    })
    await t.test('each change has one line, from whichever number of processes', () => {
      assert.equal(told().length, 3, told().join('\n'))
      assert.match(told()[0] ?? '', /\[users\] recipient_delimiter: \+ -> -; \[push\] window: 3600 -> 0/)
    })
    await t.test('a change that needs a restart is only said', async () => {
      const certificate = path.join(keys, 'other.pem')
      const apns = { ...first.apns, certificate, key: '' }
      const registration = { ...first.registration, socket: '/nowhere/xapsd.sock' }
      await save({ ...first, push: { window: 0 }, apns, registration })
      assert.equal(told().length, 4, told().join('\n'))
      assert.match(told()[3] ?? '', /\[WARN\].*needs a restart.*\[registration\] socket: .* -> \/nowhere/)
      assert.match((await registered()).join(), /^OK /)
    })
  })
}

test('with a configuration of no use a cluster has one clear line, no push, and mail as ever', async t => {
  const { lmtp, ...site } = await startSite(t, {
    nodes: 2,
    xaps: { push: { windw: 3 } },
    companion: false,
  })
  await mailTo(site, ALICE.user)
  await until(() => lmtp.mails.length === 1, 'the mail')
  const lines = pluginLines(site.log())
  assert.equal(lines.length, 1, lines.join('\n'))
  assert.match(lines[0] ?? '', /\[ERROR\].*windw = 3/)
})
