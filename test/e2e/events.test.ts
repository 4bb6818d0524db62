/** Dovecot's event exporter as the source of new mail, in a real Haraka, by both ways in. */

import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { findGroup } from '../../plugins/xaps/base/accounts.ts'
import { recordedRequest, sieveEvent } from '../intake/exporter.ts'
import { startLmtp } from '../support/lmtp.ts'
import { owned } from '../support/owned.ts'
import { processEntry } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { ask, httpReply, phoneOf, recorded, registerByLine } from './dovecot-plugins.ts'
import { startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')
const PUSH = { window: 0, change_delay: 0.2 }

async function siteWithSocket(t: TestContext, options: Parameters<typeof startSite>[1] = {}) {
  const temp = owned(t, tempDirectory())
  const events = path.join(temp.path, 'events.sock')
  const delivery = { source: 'events', events_socket: events }
  return { events, ...(await startSite(t, { ...options, xaps: { push: PUSH, delivery, ...options.xaps } })) }
}

let sessions = 0

/** One line, as Dovecot 2.4 writes it. */
function eventLine(fields: Readonly<Record<string, unknown>> = {}): string {
  sessions += 1
  return `${sieveEvent({ user: ALICE.user, session: `s${sessions}`, ...fields })}\n`
}

function connectTo(t: TestContext, file: string): net.Socket {
  const socket = net.connect(file)
  t.after(() => socket.destroy())
  return socket.on('error', () => undefined)
}

test('a mail of which exporter, XAPS plugin and hooks tell is pushed once', async t => {
  const address = () => ({ port: site.httpPort, host: '127.0.0.1' })
  const status = async (request: string) => httpReply(await ask(address(), request)).status
  const answers: number[][] = []
  const beforeReply = async () => {
    const request = recordedRequest('23-http-keep').replace('POST /ev ', 'POST /event ')
    const session = `qC3jKFfCBWtBLgAAg+zD${String(answers.length).padStart(2, '0')}`
    // The session's length stays, and by it the request's.
    const event = request
      .replaceAll('qC3jKFfCBWtBLgAAg+zDdQ', session)
      .replaceAll(/alice@example.org/gi, ALICE.user)
    answers.push([await status(recorded('freswa-lmtp-basic', ALICE)), await status(event)])
  }
  const lmtp = owned(t, await startLmtp({ beforeReply }))
  const xapsIni = { push: PUSH, delivery: { source: 'events' } }
  const site = await startSite(t, { nodes: 2, lmtpPort: lmtp.port, xaps: xapsIni })
  await site.register(ALICE)
  for (let mail = 1; mail <= 3; mail += 1) {
    await site.mail(ALICE.user)
    await site.pushed(mail)
  }
  assert.deepEqual(answers, Array(3).fill([204, 204]))
  await t.test('another change that the plugin tells of is pushed as ever', async () => {
    assert.equal(await status(recorded('freswa-imap-store-flagged', ALICE)), 200)
    await site.pushed(4)
  })
  await site.stop('SIGTERM')
  assert.equal(site.apple.requests.length, 4)
  assert.doesNotMatch(site.log(), /sender@example\.net.*origin=xaps|"hello"/)
})

test('the socket for events: who may open it, one event lost at most when the companion is replaced, removed at the end', async t => {
  const { events, ...site } = await siteWithSocket(t)
  await site.register(ALICE)
  const first = connectTo(t, events)
  first.write(eventLine())
  await site.pushed(1)

  await t.test('mode and group are those of the other socket', () => {
    const [theirs, ours] = [statSync(events), statSync(site.socket)]
    assert.deepEqual([theirs.mode, theirs.uid, theirs.gid], [ours.mode, ours.uid, ours.gid])
    if (process.getuid?.() === 0 && findGroup('dovecot') !== undefined)
      assert.equal(theirs.gid, findGroup('dovecot'))
  })
  await t.test('what is sent while the companion starts again waits for it', async () => {
    const ended = site.companion()
    process.kill(ended, 'SIGKILL')
    await until(() => !processEntry(ended), 'its end')
    await until(() => first.destroyed, 'the end of the connection')
    connectTo(t, events).write(eventLine())
    await site.pushed(2)
  })
  await t.test('check and explain say what came', async () => {
    const { stdout: check } = await site.xaps('check')
    assert.match(check, /^ok +events of Dovecot's exporter: 1, the last at 20\S+Z$/m)
    const explain = async () => (await site.xaps('explain', ALICE.user)).stdout
    assert.match(
      await explain(),
      /^ok +new mail is told by Dovecot's event exporter \(\[delivery\] source = events\)/m,
    )
    const decided = /^ok +last mail: 20\S+Z, pushed, and accepted by Apple(?: \(mail \S+\))?$/m
    await until(async () => decided.test(await explain()), 'the last mail')
    connectTo(t, events).write(eventLine({ fileinto_mailbox_name: 'Lists', action_name: 'fileinto' }))
    await until(
      async () => /^ok +last mail: 20\S+Z, not pushed: it is not in INBOX \(mail/m.test(await explain()),
      'the other event',
    )
    const { stdout: other } = await site.xaps('explain', 'bob@example.com')
    assert.match(other, /^ok +last mail: none of this user since 20\S+Z$/m)
  })
  await t.test('devices and explain say when a push has brought a phone, and after how long', async () => {
    const explain = async () => (await site.xaps('explain', ALICE.user)).stdout
    assert.match(await explain(), /^ok +a push last brought a phone of this user: not known; iOS 18\.5/m)
    const id = recordedRequest('24-http-id-after-login').split('\r\n\r\n')[1] ?? ''
    connectTo(t, events).write(`${id.replace('alice@example.org', ALICE.user)}\n`)
    const devices = async () => JSON.parse((await site.xaps('devices', ALICE.user, '--json')).stdout)
    const known = await until(async () => {
      const device = await devices()
      return device.userCameAt === undefined ? undefined : device
    }, 'the arrival')
    assert.ok(known.userCameAfterMs >= 0 && known.userCameAfterMs < 600_000, JSON.stringify(known))
    const said =
      /^ok +a push last brought a phone of this user: 20\S+Z, \d+\.\d s after it \(known of the user/m
    assert.match(await explain(), said)
    const { stdout } = await site.xaps('export')
    assert.deepEqual(Object.keys(JSON.parse(stdout)).includes('userCameAt'), false)
  })
  await site.stop()
  assert.equal(existsSync(events), false)
})

test('a socket file that a killed Haraka has left is replaced', async t => {
  const { events, ...killed } = await siteWithSocket(t)
  const companion = killed.companion()
  await killed.kill()
  await until(() => !processEntry(companion), 'the end of its companion')
  assert.ok(existsSync(events))
  const delivery = { source: 'events', events_socket: events }
  const next = await startSite(t, { xaps: { push: PUSH, delivery } })
  await next.register(ALICE)
  connectTo(t, events).write(eventLine())
  await next.pushed(1)
})

test('settings that leave the events no way in, or no use, are named once', async t => {
  await t.test('no way in', async () => {
    const xapsIni = { delivery: { source: 'events' }, registration: { listen: '' } }
    const site = await startSite(t, { xaps: xapsIni, companion: false })
    await site.waitForLog(/\[ERROR\].*source = events: no new mail is pushed.*set \[registration\] listen/)
    const { status, stdout } = await site.xaps('check')
    assert.equal(status, 1)
    assert.match(stdout, /^FAIL +\[delivery\] source = events: no new mail is pushed/m)
    assert.match(
      await until(() => registerByLine(site.socket, ALICE), 'the companion'),
      /^OK ./,
      'phones register',
    )
  })
  await t.test('no use', async () => {
    const { events, ...site } = await siteWithSocket(t, {})
    await site.stop()
    const idle = await startSite(t, { xaps: { push: PUSH, delivery: { events_socket: events } } })
    await idle.register(ALICE)
    connectTo(t, events).write(eventLine())
    await idle.waitForLog(/the first event of Dovecot's event exporter has come/)
    await idle.mail(ALICE.user)
    await idle.pushed(1)
    await idle.stop()
    assert.equal(idle.apple.requests.length, 1)
    const said = idle.lines().filter(line => line.includes('events_socket is set, but'))
    assert.equal(said.length, 1)
  })
})
