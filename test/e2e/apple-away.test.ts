import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Apple, startApple } from '../fake/apple/server.ts'
import type { LmtpReceiver } from '../support/lmtp.ts'
import { owned } from '../support/owned.ts'
import { until } from '../support/wait.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { register } from './hears.ts'
import { mailTo, pluginLines, pushed, type Site, startSite } from './setup.ts'

const USERS = ['alice@example.com', 'bob@example.com', 'carol@example.com']

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
    const { lmtp, ...site } = await startSite(t, { apple, xaps })
    await register(site, ...USERS)
    if (!first) await pushOnce(apple, site)
    await later?.(apple)
    await outage(apple, lmtp, site, last)
    apple.clear()
    await site.stop('SIGTERM')
    assert.equal(apple.requests.length, 0, 'nothing is left to push')
  })
}

/** Apple was there before it went away. */
async function pushOnce(apple: Apple, site: Site): Promise<void> {
  await mailTo(site, ...USERS)
  await pushed(apple, site, USERS.length)
}

async function outage(
  apple: Apple,
  lmtp: LmtpReceiver,
  site: Site,
  beforeTheEnd: (apple: Apple) => void = () => undefined,
): Promise<void> {
  const mails = lmtp.mails.length
  const linesNow = () => pluginLines(site.log()).filter(line => !line.includes('companion is up'))
  const lines = linesNow().length
  apple.clear()
  for (const user of [...USERS, ...USERS]) await mailTo(site, user)
  await until(() => lmtp.mails.length === mails + 2 * USERS.length, 'the mails')
  await site.waitForLog(/Apple (cannot be reached|asks to wait)/)
  beforeTheEnd(apple)
  await apple.heal()
  await pushed(apple, site, USERS.length)
  assert.deepEqual(
    apple.pushes.map(({ token }) => token).sort(),
    USERS.map(user => phoneOf(user).token).sort(),
  )
  await site.waitForLog(/Apple accepts pushes again/)
  const said = linesNow().slice(lines)
  const warnings = said.filter(line => /\[(?:WARN|ERROR)\]/.test(line))
  assert.equal(warnings.length, 1, said.join('\n'))
}
