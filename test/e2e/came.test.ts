/** A phone says that a push has brought it: the push is a worker's, the event comes to the companion. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { recordedRequest } from '../intake/exporter.ts'
import { connect } from '../registration/tools.ts'
import { missingDovecot, startDovecot } from '../support/dovecot.ts'
import { dialectOf, PASSWORD } from '../support/dovecot-conf.ts'
import { exporterByHttp } from '../support/dovecot-exporter.ts'
import { owned } from '../support/owned.ts'
import { until } from '../support/wait.ts'
import { ask, httpReply, phoneOf } from './dovecot-plugins.ts'
import { type Site, startSite } from './setup.ts'

// As many bytes as the recorded name.
const ALICE = phoneOf('alice@example.com')

/** A site in which Alice has been pushed. */
async function setup(t: TestContext) {
  const from = Date.now()
  const site = await startSite(t)
  await site.register(ALICE)
  await site.mail(ALICE.user)
  await site.pushed(1)
  return { from, site }
}

/** Resolves when `devices` says that she came by push; checks when, and how long after it. */
async function cameByPush(site: Site, from: number): Promise<void> {
  const device = await until(async () => {
    const { stdout } = await site.xaps('devices', ALICE.user, '--json')
    const listed = JSON.parse(stdout)
    return listed.userCameAt === undefined ? undefined : listed
  }, 'the arrival')
  const at = Date.parse(device.userCameAt)
  assert.ok(at >= from && at <= Date.now(), device.userCameAt)
  assert.ok(device.userCameAfterMs > 0 && device.userCameAfterMs < at - from, JSON.stringify(device))
}

test('the ID that Dovecot 2.4 was recorded to send', async t => {
  const { from, site } = await setup(t)
  const id = recordedRequest('24-http-id-after-login').replace('POST /ev ', 'POST /event ')
  const request = id.replace('alice@example.org', ALICE.user)
  assert.equal(httpReply(await ask({ port: site.httpPort, host: '127.0.0.1' }, request)).status, 204)
  await cameByPush(site, from)
})

/** For a test's `skip`: Dovecot 2.3 has no such event. */
function missingEvent(): string | false {
  const missing = missingDovecot()
  if (missing) return missing
  const version = execFileSync('dovecot', ['--version'], { encoding: 'utf8' })
  return dialectOf(version) === '2.3' && `Dovecot ${version.trim()} tells of no ID; 2.4 does`
}

test('a real Dovecot 2.4, to which a phone says that a push has brought it', {
  skip: missingEvent(),
}, async t => {
  const { from, site } = await setup(t)
  const config = exporterByHttp(site.httpPort, '2.4', 'event=imap_id_received')
  const dovecot = owned(t, await startDovecot({ users: [ALICE.user], imap: true, config }))
  const { socket, received } = await connect({ port: dovecot.imapPort, host: '127.0.0.1' })
  t.after(() => socket.destroy())
  const command = async (tag: string, text: string) => {
    socket.write(`${tag} ${text}\r\n`)
    await until(() => new RegExp(`^${tag} OK`, 'm').test(received()), `${tag}:\n${dovecot.log()}`)
  }
  const id = '"name" "com.apple.email.maild" "os" "iOS" "os-version" "18.5 (22F76)" "event"'
  await command('a1', `ID (${id} NIL)`)
  await command('a2', `LOGIN ${ALICE.user} ${PASSWORD}`)
  await command('a3', `ID (${id} "periodic,push")`)
  await cameByPush(site, from)
})
