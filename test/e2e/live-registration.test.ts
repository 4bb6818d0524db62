/** A phone registers now, and the store holds times that another host's clock, or a report of Apple's, has left ahead. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openStore } from '../../plugins/xaps/device/open.ts'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { noLog } from '../support/recorded-log.ts'
import { phoneOf, registerByHttp, registerByLine } from './dovecot-plugins.ts'
import { startSite } from './setup.ts'

const KNOWN = phoneOf('known@example.com')
const GONE = phoneOf('gone@example.com')

test('a live registration is in the store, whatever times are', async t => {
  const site = await startSite(t)
  const common = { namespace: 'xaps', expireAfterMs: 30 * 86_400_000, log: noLog }
  const store = await openStore({ ...common, uri: 'lmdb:xaps', harakaDir: site.dir })
  t.after(() => store.close())
  const ahead = Date.now() + 7 * 60_000
  const old = {
    mailboxes: [],
    subtopic: 'com.apple.mobilemail',
    topic: 'old',
    registeredAt: ahead,
    lastSeen: ahead,
  }
  await store.update(KNOWN.user, () => ({
    devices: [{ account: KNOWN.account, token: KNOWN.token, ...old }],
    gone: [],
  }))
  await store.update(GONE.user, () => ({
    devices: [],
    gone: [{ account: GONE.account, token: GONE.token, at: ahead }],
  }))

  assert.equal(await registerByLine(site.socket, KNOWN), `OK ${MAIL_TOPIC}\r\n`)
  assert.equal((await registerByHttp(site.httpPort, GONE)).status, 200)
  for (const { user, token } of [KNOWN, GONE]) {
    const [device] = await store.devices(user)
    assert.equal(device?.token, token)
    assert.equal(device.topic, MAIL_TOPIC)
    assert.ok(device.mailboxes.length > 0 && device.lastSeen < ahead, JSON.stringify(device))
  }
})
