import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import type { PushRequest } from '../fake/apple/journal.ts'
import { startApple } from '../fake/apple/server.ts'
import { missingDovecot, startDovecot } from '../support/dovecot.ts'
import { owned } from '../support/owned.ts'
import { ask, httpReply, phoneOf, recorded, registerByHttp, registerByLine } from './dovecot-plugins.ts'
import { mailTo, pluginLines, pushed, type Site, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')
const BOB = phoneOf('bob@example.com')

for (const nodes of [0, 2]) {
  test(`from a registration to a push, with nodes=${nodes}`, { skip: missingDovecot() }, async t => {
    const dovecot = owned(t, await startDovecot({ users: [ALICE.user, BOB.user] }))
    /** By token: the content of the Maildir at the moment of the push. */
    const inboxAtPush = new Map<string, number>()
    const inboxOf = ({ token }: PushRequest) =>
      dovecot.inbox(token === ALICE.token ? ALICE.user : BOB.user).length
    const apple = owned(
      t,
      await startApple({
        onRequest: request => void inboxAtPush.set(request.token, inboxOf(request)),
      }),
    )
    const site = await startSite(t, { apple, nodes, lmtpPort: dovecot.lmtpPort })

    await t.test("all of Dovecot's plugins get the answers they need", () => register(site))
    await t.test('each mail is pushed when it is in the Maildir', async () => {
      await mailTo(site, ALICE.user)
      await mailTo(site, BOB.user)
      const pushes = await pushed(apple, site, 2)
      assert.deepEqual(new Set(pushes.map(({ token }) => token)), new Set([ALICE.token, BOB.token]))
      assert.deepEqual([inboxAtPush.get(ALICE.token), inboxAtPush.get(BOB.token)], [1, 1])
    })
    await t.test('a push is exactly what docs/protocol.md says', () => checkPush(apple.pushes))
    await t.test("Dovecot's notifications are answered", () => notify(site))
    await t.test('what is logged reads well', () => {
      assert.doesNotMatch(pluginLines(site.log()).join('\n'), /undefined|\[object|\[(?:WARN|ERROR)\]/)
    })
  })
}

async function register(site: Site): Promise<void> {
  assert.equal(await registerByLine(site.socket, ALICE), `OK ${MAIL_TOPIC}\r\n`)
  for (const name of ['freswa-reg-basic', 'timlaing-23-reg-basic', 'timlaing-24-reg-basic'])
    assert.deepEqual(await registerByHttp(site.httpPort, BOB, name), { status: 200, body: MAIL_TOPIC }, name)
}

function checkPush(pushes: readonly PushRequest[]): void {
  for (const { headers, payload, token, epoch } of pushes) {
    const phone = token === ALICE.token ? ALICE : BOB
    assert.deepEqual(payload, { aps: { 'account-id': phone.account } })
    const { 'apns-expiration': expiration, ...others } = headers
    const own = Object.entries(others).filter(
      ([name]) => name.startsWith('apns-') || name.startsWith('content-type'),
    )
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
  const byHttp = async (name: string, user: string) =>
    httpReply(await ask({ port: site.httpPort, host: '127.0.0.1' }, recorded(name, { user }))).status
  assert.equal(await ask({ path: site.socket }, recorded('st3fan-lmtp-basic', ALICE)), 'OK \r\n')
  assert.equal(
    await ask({ path: site.socket }, recorded('st3fan-lmtp-basic', { user: 'who@example.com' })),
    'OK \r\n',
  )
  assert.equal(await byHttp('freswa-imap-store-flagged', ALICE.user), 200)
  for (const plugin of ['freswa', 'timlaing-24']) {
    const append = `${plugin}-imap-append-Entw_x26APw_x2drfe`
    assert.equal(await byHttp(`${plugin}-lmtp-basic`, ALICE.user), 204, 'Haraka sees new mail itself')
    assert.equal(await byHttp(append, ALICE.user), 204, 'only INBOX is pushed')
    assert.equal(await byHttp(`${plugin}-lmtp-basic`, 'who@example.com'), 404)
  }
}
