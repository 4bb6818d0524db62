/** Whose phones hear of a mail over LMTP. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { missingDovecot, startDovecot } from '../support/dovecot.ts'
import { startLmtp } from '../support/lmtp.ts'
import { owned } from '../support/owned.ts'
import { until } from '../support/wait.ts'
import { type Hears, listener } from './hears.ts'
import { type Sections, startSite } from './setup.ts'

/** Every push at once: the mails of these tests go to the same few phones. */
const NO_WINDOW: Sections = { push: { window: 0 } }

const ALICE = 'alice@example.com'
const BOB = 'bob@example.org'
const FULL = 'full@example.com'
const MARKER = 'marker@example.com'

type Cases = readonly (readonly [what: string, to: readonly string[], users: readonly string[]])[]

async function hearsEach(t: TestContext, hears: Hears, cases: Cases): Promise<void> {
  for (const [what, to, users] of cases) await t.test(what, () => hears(to, users))
}

const ALIASES = {
  'info@example.com': { action: 'alias', to: ALICE },
  'all@example.com': { action: 'alias', to: [ALICE, BOB] },
  'noise@example.com': { action: 'drop' },
}

test('a mail is pushed to the phones of the users that it is delivered to', async t => {
  const lmtp = owned(t, await startLmtp({ refuseRcpt: new Set(['nobody@example.com']) }))
  const site = await startSite(t, {
    lmtpPort: lmtp.port,
    xaps: NO_WINDOW,
    domains: ['example.com', 'example.org'],
    plugins: ['aliases', 'rcpt_to.in_host_list', 'queue/discard', 'queue/lmtp', 'xaps'],
    config: { 'aliases.json': JSON.stringify(ALIASES) },
    logLevel: 'debug',
  })
  await site.register(ALICE, BOB, 'info@example.com', '\u212aate@example.com')
  const hears = await listener(site)
  await hearsEach(t, hears, [
    ['several recipients of several domains, each once', [ALICE, BOB], [ALICE, BOB]],
    ['a recipient in capitals', ['Alice@Example.COM'], [ALICE]],
    ['a recipient with detail', ['ALICE+shop@example.com'], [ALICE]],
    ['one user by two of their addresses, once', ['alice+a@example.com', 'alice+b@example.com'], [ALICE]],
    ['the target of an alias, not the alias', ['info@example.com'], [ALICE]],
    ['every target of an alias', ['all@example.com'], [ALICE, BOB]],
    ['beside a recipient that Dovecot does not know', ['nobody@example.com', BOB], [BOB]],
    ['no user whose name Unicode folds to it: the Kelvin sign is no k', ['kate@example.com'], []],
    ['no user when an alias drops the mail', ['noise@example.com'], []],
  ])
  await t.test('no push, and one line in the log, for one without phones', async () => {
    const lines = () => site.lines().filter(line => !line.includes('companion is up')).length
    const before = lines()
    await hears(['carol@example.com'], [])
    // Haraka may deliver the marker's mail first.
    await until(() => lmtp.mails.some(({ to }) => to[0] === 'carol@example.com'), 'the mail to be delivered')
    await until(() => lines() >= before + 2, "the line of the marker's push, and this one")
    assert.equal(lines(), before + 2)
  })
})

test('with dovecot_userdb it is Dovecot that says which user a recipient is', {
  skip: missingDovecot(),
}, async t => {
  const aliases = { 'sales@example.com': 'alice', [ALICE]: 'alice' }
  const dovecot = owned(t, await startDovecot({ users: ['alice', 'bob@example.com', MARKER], aliases }))
  const users = { dovecot_userdb: dovecot.authUserdbPath }
  const site = await startSite(t, { lmtpPort: dovecot.lmtpPort, xaps: { ...NO_WINDOW, users } })
  await site.register('alice', 'bob@example.com', 'sales@example.com', 'nobody@example.com')
  await hearsEach(t, await listener(site), [
    ['an alias', ['sales@example.com'], ['alice']],
    ['another spelling with detail', ['Alice+x@example.com'], ['alice']],
    ['a user whose name is the address', ['bob@example.com'], ['bob@example.com']],
    ['no user of a name that Dovecot does not know', ['nobody@example.com', 'sales@example.com'], ['alice']],
  ])
})

test('with username = local_part the part before the @ is the user', async t => {
  const users = { username: 'local_part', recipient_delimiter: '-', lowercase: 'false' }
  const site = await startSite(t, { xaps: { ...NO_WINDOW, users } })
  await site.register('alice', 'Alice', ALICE)
  await hearsEach(t, await listener(site, MARKER, 'marker'), [
    ['with a delimiter of its own', ['alice-shop@example.com'], ['alice']],
    ['in capitals where case matters', ['Alice@example.com'], ['Alice']],
  ])
})

/** LMTP servers of which one recipient is over quota, by port. */
const OVER_QUOTA: Readonly<Record<string, (t: TestContext) => Promise<number>>> = {
  Dovecot: async t => {
    const users = [ALICE, 'bob@example.com', FULL, MARKER]
    return owned(t, await startDovecot({ users, quotaFull: [FULL] })).lmtpPort
  },
  'another LMTP server': async t => owned(t, await startLmtp({ refuseAfterData: new Set([FULL]) })).port,
}

for (const [server, start] of Object.entries(OVER_QUOTA)) {
  // A recipient refused after DATA makes Haraka name the wrong ones to its plugins; only the server's words tell.
  test(`those whose mail ${server} has saved hear of it, not the one over quota`, {
    skip: server === 'Dovecot' && missingDovecot(),
  }, async t => {
    const site = await startSite(t, { lmtpPort: await start(t), xaps: NO_WINDOW })
    await site.register(ALICE, 'bob@example.com', FULL)
    await hearsEach(t, await listener(site), [
      ['the last of two', [ALICE, FULL], [ALICE]],
      ['the first of two', [FULL, ALICE], [ALICE]],
      ['the one in the middle', [ALICE, FULL, 'bob@example.com'], [ALICE, 'bob@example.com']],
      ['the only one', [FULL], []],
    ])
  })
}
