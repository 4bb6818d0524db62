/** What was answered is in the store: after a kill of everything, and whatever times the store holds. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { openStore } from '../../plugins/xaps/device/open.ts'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { owned } from '../support/owned.ts'
import { noLog } from '../support/recorded-log.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { phoneOf, registerByHttp, registerByLine } from './dovecot-plugins.ts'
import { OK, type Sections, startSite } from './setup.ts'

const USERS = 50
const PHONES = 6

for (const kind of ['lmdb', 'redis'] as const) {
  test(`registrations that were answered survive kill -9 of everything, with ${kind}`, {
    skip: kind === 'redis' && missingRedis(),
  }, async t => {
    const { xaps, restart } = await storeOf(kind, t)
    const site = await startSite(t, { xaps })
    const phones = Array.from({ length: USERS * PHONES }, (_, n) =>
      phoneOf(`user${n % USERS}@example.com`, n),
    )
    const answers = await Promise.all(phones.map(phone => registerByLine(site.socket, phone)))
    for (const { pid } of site.children()) process.kill(pid, 'SIGKILL')
    await restart()
    await site.kill()
    assert.deepEqual(new Set(answers), new Set([OK]))
    const { stdout } = await site.xaps('devices', '--json', '--full')
    const tokens = stdout.match(/(?<="token":")\w+/g) ?? []
    assert.deepEqual(tokens.sort(), phones.map(({ token }) => token).sort())
  })
}

/** `restart` kills the process that keeps the store, where there is one, and starts it again. */
async function storeOf(
  kind: 'lmdb' | 'redis',
  t: TestContext,
): Promise<{ xaps: Sections; restart: () => Promise<void> }> {
  if (kind === 'lmdb') return { xaps: {}, restart: async () => undefined }
  const redis = owned(t, await startRedis())
  const restart = async () => {
    await redis.kill()
    await redis.start()
  }
  return { xaps: { store: { uri: redis.uri } }, restart }
}

test('a phone that registers now is in the store, whatever times another host’s clock or Apple has left', async t => {
  const [known, gone] = [phoneOf('known@example.com'), phoneOf('gone@example.com')]
  const site = await startSite(t)
  const options = { namespace: 'xaps', expireAfterMs: 30 * 86_400_000, log: noLog, harakaDir: site.dir }
  const store = owned(t, await openStore({ ...options, uri: 'lmdb:xaps' }))
  const ahead = Date.now() + 7 * 60_000
  const { account, token } = known
  const rest = { mailboxes: [], subtopic: 'com.apple.mobilemail', topic: 'old' }
  const old = { account, token, ...rest, registeredAt: ahead, lastSeen: ahead }
  await store.update(known.user, () => ({ devices: [old], gone: [] }))
  const report = { account: gone.account, token: gone.token, at: ahead }
  await store.update(gone.user, () => ({ devices: [], gone: [report] }))

  await site.register(known)
  assert.equal((await registerByHttp(site.httpPort, gone)).status, 200)
  for (const { user, token } of [known, gone]) {
    const [device] = await store.devices(user)
    assert.deepEqual([device?.token, device?.topic], [token, MAIL_TOPIC])
    assert.ok(device && device.mailboxes.length > 0 && device.lastSeen < ahead, JSON.stringify(device))
  }
})
