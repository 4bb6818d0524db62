import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import type { PushRequest } from '../fake/apple/journal.ts'
import { startApple } from '../fake/apple/server.ts'
import { missingDovecot, startDovecot } from '../support/dovecot.ts'
import { owned } from '../support/owned.ts'
import { ask, httpReply, phoneOf, recorded, registerByHttp } from './dovecot-plugins.ts'
import { type Site, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')
const BOB = phoneOf('bob@example.com')

for (const nodes of [0, 2]) {
  test(`from a registration to a push, with nodes=${nodes}`, { skip: missingDovecot() }, async t => {
    const dovecot = owned(t, await startDovecot({ users: [ALICE.user, BOB.user] }))
    /** By token: the content of the Maildir at the moment of the push. */
    const inboxAtPush = new Map<string, number>()
    const inboxOf = ({ token }: PushRequest) =>
      dovecot.inbox(token === ALICE.token ? ALICE.user : BOB.user).length
    const onRequest = (request: PushRequest) => void inboxAtPush.set(request.token, inboxOf(request))
    const apple = owned(t, await startApple({ onRequest }))
    const site = await startSite(t, { apple, nodes, lmtpPort: dovecot.lmtpPort })

    await t.test("all of Dovecot's plugins get the answers they need", () => register(site))
    await t.test('each mail is pushed when it is in the Maildir', async () => {
      await site.mail(ALICE.user)
      await site.mail(BOB.user)
      await site.pushed(2)
      assert.deepEqual(site.tokens(), [ALICE.token, BOB.token].sort())
      assert.deepEqual([inboxAtPush.get(ALICE.token), inboxAtPush.get(BOB.token)], [1, 1])
    })
    await t.test('a push is exactly what docs/protocol.md says', () => checkPush(apple.pushes))
    await t.test("Dovecot's notifications are answered", () => notify(site))
    await t.test('what is logged reads well', () => {
      assert.deepEqual(site.lines(/undefined|\[object|\[(?:WARN|ERROR)\]/), [])
    })
  })
}

async function register(site: Site): Promise<void> {
  await site.register(ALICE)
  for (const name of ['freswa-reg-basic', 'timlaing-23-reg-basic', 'timlaing-24-reg-basic'])
    assert.deepEqual(await registerByHttp(site.httpPort, BOB, name), { status: 200, body: MAIL_TOPIC }, name)
}

function checkPush(pushes: readonly PushRequest[]): void {
  for (const { headers, payload, token, epoch } of pushes) {
    const phone = token === ALICE.token ? ALICE : BOB
    assert.deepEqual(payload, { aps: { 'account-id': phone.account } })
    const { 'apns-expiration': expiration, ...others } = headers
    const own = Object.entries(others).filter(([name]) => /^(?:apns-|content-type)/.test(name))
    assert.deepEqual(Object.fromEntries(own), {
      'apns-topic': MAIL_TOPIC,
      'apns-push-type': 'background',
      'apns-priority': '5',
      'content-type': 'application/json',
    })
    assert.equal(headers[':path'], `/3/device/${phone.token}`)
    assert.ok(Math.abs(Number(expiration) - (epoch / 1000 + 86_400)) < 60)
  }
}

async function notify(site: Site): Promise<void> {
  const byLine = (user: string) => ask({ path: site.socket }, recorded('st3fan-lmtp-basic', { user }))
  const byHttp = async (name: string, user = ALICE.user) =>
    httpReply(await ask({ port: site.httpPort, host: '127.0.0.1' }, recorded(name, { user }))).status
  assert.equal(await byLine(ALICE.user), 'OK \r\n')
  assert.equal(await byLine('who@example.com'), 'OK \r\n')
  assert.equal(await byHttp('freswa-imap-store-flagged'), 200)
  for (const plugin of ['freswa', 'timlaing-24']) {
    const append = `${plugin}-imap-append-Entw_x26APw_x2drfe`
    assert.equal(await byHttp(`${plugin}-lmtp-basic`), 204, 'Haraka sees new mail itself')
    assert.equal(await byHttp(append), 204, 'only INBOX is pushed')
    assert.equal(await byHttp(`${plugin}-lmtp-basic`, 'who@example.com'), 404)
  }
}
