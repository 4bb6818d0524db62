/** Apple or Redis away: mail flows, phones register, and each phone hears once when they are back. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { phoneOf, registerByHttp } from './dovecot-plugins.ts'
import { type Site, startSite } from './setup.ts'

const USERS = ['alice@example.com', 'bob@example.com', 'carol@example.com']
const TOKENS = USERS.map(user => phoneOf(user).token).sort()

interface Outage {
  /** Apple's state before Haraka starts, when it is up, and just before all is well again. */
  readonly first?: (apple: Apple) => unknown
  readonly later?: (apple: Apple) => unknown
  readonly last?: (apple: Apple) => void
}

const OUTAGES: Readonly<Record<string, Outage>> = {
  'Apple refuses connections as Haraka starts': { first: apple => apple.faults.refuse() },
  'its server dies': { later: apple => apple.faults.refuse() },
  'the network swallows everything': {
    later: apple => apple.faults.blackHole(),
    // A swallowed request never arrives, or it would be a push of its own.
    last: apple => apple.faults.resetConnections(),
  },
  'it says that it is overloaded': { later: apple => apple.faults.answer('ServiceUnavailable') },
}

for (const [what, { first, later, last }] of Object.entries(OUTAGES)) {
  test(`while Apple is away mail flows, and afterwards each phone gets one push: ${what}`, async t => {
    const apple = owned(t, await startApple())
    await first?.(apple)
    const xaps = { push: { window: 0 }, apns: { request_timeout: 1 } }
    const site = await startSite(t, { apple, xaps })
    await site.register(...USERS)
    if (!first) {
      await site.mail(...USERS)
      await site.pushed(USERS.length)
    }
    await later?.(apple)
    await outage(site, last)
    apple.clear()
    await site.stop('SIGTERM')
    assert.equal(apple.requests.length, 0, 'nothing is left to push')
  })
}

async function outage(site: Site, beforeTheEnd: (apple: Apple) => void = () => undefined): Promise<void> {
  const { apple, lmtp } = site
  const mails = lmtp.mails.length
  const linesNow = () => site.lines().filter(line => !line.includes('companion is up'))
  const lines = linesNow().length
  apple.clear()
  for (const user of [...USERS, ...USERS]) await site.mail(user)
  await site.delivered(mails + 2 * USERS.length)
  await site.waitForLog(/Apple (cannot be reached|asks to wait)/)
  beforeTheEnd(apple)
  await apple.heal()
  await site.pushed(USERS.length)
  assert.deepEqual(site.tokens(), TOKENS)
  await site.waitForLog(/Apple accepts pushes again/)
  const said = linesNow().slice(lines)
  const warnings = said.filter(line => /\[(?:WARN|ERROR)\]/.test(line))
  assert.equal(warnings.length, 1, said.join('\n'))
}

test('while Redis is away mail flows, and phones register', { skip: missingRedis() }, async t => {
  const [old = '', fresh = '', other = ''] = USERS
  const redis = owned(t, await startRedis())
  const site = await startSite(t, { xaps: { store: { uri: redis.uri } } })
  await site.register(old)
  await redis.kill()

  await t.test('a registration is answered with the topic, and waits on disk', async () => {
    await site.register(fresh)
    assert.equal((await registerByHttp(site.httpPort, phoneOf(other))).status, 200)
    const onDisk = readFileSync(path.join(site.dir, 'xaps-spool', 'data.mdb'), 'latin1')
    for (const user of [fresh, other]) assert.ok(onDisk.includes(user), user)
  })
  await t.test('a mail is delivered', async () => {
    await site.mail(old)
    await site.delivered(1)
  })
  await t.test('when Redis is back the mail is pushed', async () => {
    await redis.start()
    await site.pushed(1)
    assert.deepEqual(site.tokens(), [phoneOf(old).token])
  })
  await t.test('and so are mails to those who registered meanwhile', async () => {
    await site.waitForLog(/registrations from the spool are saved/)
    await site.mail(fresh, other)
    await site.pushed(3)
    assert.deepEqual(site.tokens(), TOKENS)
  })
})
