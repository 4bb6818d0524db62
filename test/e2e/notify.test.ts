/** Notifications of Dovecot and deliveries of Haraka: one source of new mail, whichever tells first. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startLmtp } from '../support/lmtp.ts'
import { owned } from '../support/owned.ts'
import { ask, httpReply, phoneOf, recorded } from './dovecot-plugins.ts'
import { type Sections, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')
const MAILS = 4

/** Settings → the answers to /notify for new mail and for a flag. Each mail and, where it is 200, the flag make a push. */
const SOURCES: readonly [settings: Sections, ofMail: number, ofFlag: number][] = [
  [{}, 204, 200],
  [{ delivery: { source: 'haraka' }, registration: { notify: 'off' } }, 204, 204],
  [{ delivery: { source: 'plugin' } }, 200, 200],
  [{ delivery: { source: 'plugin' }, registration: { notify: 'off' } }, 200, 204],
  [{ registration: { notify: 'all' } }, 200, 200],
]

for (const [settings, ofMail, ofFlag] of SOURCES) {
  test(`a mail that Dovecot tells of before it acknowledges it is pushed once, with ${JSON.stringify(settings)}`, async t => {
    const notify = async (name: string) => {
      const address = { port: site.httpPort, host: '127.0.0.1' }
      return httpReply(await ask(address, recorded(name, { user: ALICE.user }))).status
    }
    const answers: number[] = []
    const beforeReply = async () => answers.push(await notify('freswa-lmtp-basic'))
    const lmtp = owned(t, await startLmtp({ beforeReply }))
    const push = { window: 0, change_delay: 0.2 }
    const site = await startSite(t, { lmtpPort: lmtp.port, xaps: { push, ...settings } })
    await site.register(ALICE)

    for (let mail = 1; mail <= MAILS; mail += 1) {
      await site.mail(ALICE.user)
      await site.pushed(mail)
    }
    assert.deepEqual(answers, Array(MAILS).fill(ofMail))
    assert.equal(await notify('freswa-imap-store-flagged'), ofFlag)
    const pushes = ofFlag === 200 ? MAILS + 1 : MAILS
    await site.pushed(pushes)
    // A pending push is sent before Haraka ends: a second push of a mail would be there.
    await site.stop('SIGTERM')
    assert.deepEqual(
      site.apple.requests.map(({ token }) => token),
      Array(pushes).fill(ALICE.token),
    )
    const said = site.lines(/notify = all means/)
    assert.equal(said.length, settings.registration?.notify === 'all' ? 1 : 0)
  })
}

test('with source = plugin a worker neither pushes nor connects to Apple', async t => {
  const site = await startSite(t, { nodes: 2, xaps: { delivery: { source: 'plugin' } } })
  await site.register(ALICE)
  await site.mail(ALICE.user)
  await site.delivered(1)
  await site.stop('SIGTERM')
  assert.equal(site.apple.requests.length, 0)
  assert.ok(site.apple.connections.attempts <= 1, 'no connection but the companion’s own')
})
