import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { type LmtpReceiver, startLmtp } from '../support/lmtp.ts'
import { until } from '../support/wait.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { register } from './hears.ts'
import { mailTo, pluginLines, pushed, type Site, startSite } from './setup.ts'

const USERS = ['alice@example.com', 'bob@example.com', 'carol@example.com']

test('while Apple is away mail flows, and afterwards each phone gets one push', async t => {
  const apple = await startApple()
  t.after(() => apple.close())
  const lmtp = await startLmtp()
  t.after(lmtp.stop)
  await apple.faults.refuse()
  const site = await startSite(t, {
    apple,
    lmtpPort: lmtp.port,
    xaps: { push: { window: 0 }, apns: { request_timeout: 1 } },
  })
  await register(site, ...USERS)

  await t.test('when nobody listens there as Haraka starts', () => outage(apple, lmtp, site))
  await t.test('when its server dies', async () => {
    await apple.faults.refuse()
    await outage(apple, lmtp, site)
  })
  await t.test('when the network swallows everything', async () => {
    apple.faults.blackHole()
    // What was swallowed never arrives, or it would be a push of its own.
    await outage(apple, lmtp, site, () => apple.faults.resetConnections())
  })
  await t.test('when it says that it is overloaded', async () => {
    apple.faults.answer('ServiceUnavailable')
    await outage(apple, lmtp, site)
  })
  await t.test('nothing is left to push', async () => {
    apple.clear()
    await site.stop('SIGTERM')
    assert.equal(apple.requests.length, 0)
  })
})

async function outage(
  apple: Apple,
  lmtp: LmtpReceiver,
  site: Site,
  beforeTheEnd: () => void = () => undefined,
): Promise<void> {
  const mails = lmtp.mails.length
  const linesNow = () => pluginLines(site.log()).filter(line => !line.includes('companion is up'))
  const lines = linesNow().length
  apple.clear()
  for (const user of [...USERS, ...USERS]) await mailTo(site, user)
  await until(() => lmtp.mails.length === mails + 2 * USERS.length, 'the mails')
  await until(() => linesNow().length > lines, 'a line in the log that says so')
  beforeTheEnd()
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
