/** A phone whose account id has changed, while its token has not: what is pushed, and what the command says of it. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import type { Apple } from '../fake/apple/server.ts'
import { onTerminal } from '../support/terminal.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { XAPS, xaps } from './run.ts'
import { type Site, startSite } from './setup.ts'

const DORA = phoneOf('dora@example.com')
const MARKER = phoneOf('marker@example.com')

test('an account id that its phone has left is marked and not pushed', async t => {
  const site = await startSite(t)
  await site.register(DORA, MARKER)
  const input = [1, 3].map(days => `${JSON.stringify(seen(`LEFT-${days}`, days))}\n`).join('')
  const imported = await xaps(['-c', site.dir, 'import', '-'], { input })
  assert.equal(imported.status, 0, imported.stderr)

  await says(t, site)
  await t.test('push leaves it out and says so', async () => {
    site.apple.clear()
    assert.match((await site.xaps('push', DORA.user)).stdout, / {2}not pushed: superseded/)
    assert.deepEqual(accountsPushed(site.apple), [DORA.account, 'LEFT-1'].sort())
  })
  await t.test('a mail pushes all but it', () => isNotPushed(site))
})

/** Dora's phone as it stands in an export, with another account id, last seen so many days ago. */
function seen(account: string, days: number): object {
  const lastSeen = new Date(Date.now() - days * 86_400_000).toISOString()
  const more = { subtopic: 'com.apple.mobilemail', topic: MAIL_TOPIC, mailboxes: ['INBOX'] }
  return { ...DORA, ...more, account, registeredAt: lastSeen, lastSeen }
}

async function says(t: TestContext, { dir, xaps: inSite }: Site): Promise<void> {
  await t.test('devices --json has a field for it, where it applies', async () => {
    const { stdout } = await inSite('devices', DORA.user, '--json')
    const marks = stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
      .map(device => [device.account, 'superseded' in device ? device.superseded : 'no field'])
    const expected = { [DORA.account]: 'no field', 'LEFT-1': 'no field', 'LEFT-3': true }
    assert.deepEqual(Object.fromEntries(marks), expected)
  })
  await t.test('devices and explain say it in words, an export is the store alone', async () => {
    const table = await onTerminal(t, [process.execPath, XAPS, '-c', dir, 'devices'], {
      columns: 120,
      env: { NO_COLOR: '1' },
    })
    assert.match(table.stdout, /^dora.* LEFT-3 .* superseded/m)
    const { stdout } = await inSite('explain', DORA.user)
    assert.equal(stdout.match(/^ok +device .*: pushed$/gm)?.length, 2, stdout)
    assert.equal(
      stdout.match(
        /^warn +device .*: not pushed: the phone registers with another account id since.*\n {6}→ superseded/gm,
      )?.length,
      1,
      stdout,
    )
    assert.doesNotMatch((await inSite('export')).stdout, /superseded/)
  })
}

/** The marker's push comes after all that the mail to Dora makes. */
async function isNotPushed(site: Site): Promise<void> {
  site.apple.clear()
  await site.mail(DORA.user)
  await site.pushed(2)
  await site.mail(MARKER.user)
  await site.pushed(({ token }) => token === MARKER.token)
  assert.deepEqual(accountsPushed(site.apple), [DORA.account, 'LEFT-1', MARKER.account].sort())
}

function accountsPushed(apple: Apple): unknown[] {
  return apple.pushes
    .map(({ payload }) => payload?.aps as Record<string, unknown>)
    .map(aps => aps['account-id'])
    .sort()
}
