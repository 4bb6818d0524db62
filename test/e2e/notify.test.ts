import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startApple } from '../fake/apple/server.ts'
import { ask, httpReply, phoneOf, recorded, registerByLine } from './dovecot-plugins.ts'
import { pushed, type Site, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')

/** [registration] notify → the answers to /notify for new mail and for a flag, and how many pushes they make. */
const MODES = {
  changes: { answers: [204, 200], pushes: 1 },
  all: { answers: [200, 200], pushes: 2 },
} as const

for (const [notify, { answers, pushes }] of Object.entries(MODES)) {
  test(`what Dovecot notifies of is pushed with notify = ${notify}`, async t => {
    const apple = await startApple()
    t.after(() => apple.close())
    const xaps = { push: { window: 0, change_delay: 0.2 }, registration: { notify } }
    const site = await startSite(t, { apple, xaps })
    await registerByLine(site.socket, ALICE)
    const ofMail = await notifyByHttp(site, 'freswa-lmtp-basic')
    if (ofMail === 200) await pushed(apple, site, 1)
    const ofFlag = await notifyByHttp(site, 'freswa-imap-store-flagged')
    await ask({ path: site.socket }, recorded('st3fan-lmtp-basic', { user: 'nobody@example.com' }))
    assert.deepEqual([ofMail, ofFlag], answers)
    await pushed(apple, site, pushes)
    await site.stop('SIGTERM')
    assert.deepEqual(
      apple.requests.map(({ token }) => token),
      Array(pushes).fill(ALICE.token),
    )
  })
}

async function notifyByHttp(site: Site, name: string): Promise<number> {
  const address = { port: site.httpPort, host: '127.0.0.1' }
  return httpReply(await ask(address, recorded(name, { user: ALICE.user }))).status
}
