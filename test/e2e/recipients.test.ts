import assert from 'node:assert/strict'
import { test } from 'node:test'
import { missingDovecot, startDovecot } from '../support/dovecot.ts'
import { startLmtp } from '../support/lmtp.ts'
import { owned } from '../support/owned.ts'
import { until } from '../support/wait.ts'
import { listener, register } from './hears.ts'
import { pluginLines, type Sections, startSite } from './setup.ts'

/** Every push at once: the mails of these tests go to the same few phones. */
const NO_WINDOW: Sections = { push: { window: 0 } }

const MARKER = { address: 'marker@example.com', user: 'marker@example.com' }

const ALIASES = {
  'info@example.com': { action: 'alias', to: 'alice@example.com' },
  'all@example.com': { action: 'alias', to: ['alice@example.com', 'bob@example.org'] },
  'noise@example.com': { action: 'drop' },
}

test('whose phones hear of a mail over LMTP', async t => {
  const lmtp = owned(t, await startLmtp({ refuseRcpt: new Set(['nobody@example.com']) }))
  const { apple, ...site } = await startSite(t, {
    lmtpPort: lmtp.port,
    xaps: NO_WINDOW,
    domains: ['example.com', 'example.org'],
    plugins: ['aliases', 'rcpt_to.in_host_list', 'queue/discard', 'queue/lmtp', 'xaps'],
    config: { 'aliases.json': JSON.stringify(ALIASES) },
    logLevel: 'debug',
  })
  await register(site, 'alice@example.com', 'bob@example.org', 'info@example.com')
  const hears = await listener(apple, site, MARKER)

  await t.test('several recipients of several domains, each once', () =>
    hears(['alice@example.com', 'bob@example.org'], ['alice@example.com', 'bob@example.org']),
  )
  await t.test('a recipient in capitals', () => hears(['Alice@Example.COM'], ['alice@example.com']))
  await t.test('a recipient with detail', () => hears(['ALICE+shop@example.com'], ['alice@example.com']))
  await t.test('one user by two of their addresses is one push', () =>
    hears(['alice+a@example.com', 'alice+b@example.com'], ['alice@example.com']),
  )
  await t.test('the target of an alias, not the alias', () =>
    hears(['info@example.com'], ['alice@example.com']),
  )
  await t.test('every target of an alias', () =>
    hears(['all@example.com'], ['alice@example.com', 'bob@example.org']),
  )
  await t.test('beside a recipient that Dovecot does not know', () =>
    hears(['nobody@example.com', 'bob@example.org'], ['bob@example.org']),
  )
  await t.test('no push, and no line in the log, for one without phones', async () => {
    const lines = () => pluginLines(site.log()).filter(line => !line.includes('companion is up')).length
    const before = lines()
    await hears(['carol@example.com'], [])
    // Haraka may deliver the marker's mail first.
    await until(() => lmtp.mails.some(({ to }) => to[0] === 'carol@example.com'), 'the mail to be delivered')
    await until(() => lines() > before, "the line of the marker's push")
    assert.equal(lines(), before + 1)
  })
  await t.test('no user whose name Unicode folds to it: the Kelvin sign is no k', async () => {
    await register(site, '\u212aate@example.com')
    await hears(['kate@example.com'], [])
  })
  await t.test('no user when an alias drops the mail', () => hears(['noise@example.com'], []))
})

test('with dovecot_userdb it is Dovecot who says which user a recipient is', {
  skip: missingDovecot(),
}, async t => {
  const aliases = { 'sales@example.com': 'alice', 'alice@example.com': 'alice' }
  const dovecot = owned(t, await startDovecot({ users: ['alice', 'bob@example.com', MARKER.user], aliases }))
  const users = { dovecot_userdb: dovecot.authUserdbPath }
  const { apple, ...site } = await startSite(t, { lmtpPort: dovecot.lmtpPort, xaps: { ...NO_WINDOW, users } })
  await register(site, 'alice', 'bob@example.com', 'sales@example.com', 'nobody@example.com')
  const hears = await listener(apple, site, MARKER)

  await t.test('an alias', () => hears(['sales@example.com'], ['alice']))
  await t.test('another spelling with detail', () => hears(['Alice+x@example.com'], ['alice']))
  await t.test('a user whose name is the address', () => hears(['bob@example.com'], ['bob@example.com']))
  await t.test('no user of a name that Dovecot does not know', () =>
    hears(['nobody@example.com', 'sales@example.com'], ['alice']),
  )
})

test('with username = local_part the part before the @ is the user', async t => {
  const xaps = {
    ...NO_WINDOW,
    users: { username: 'local_part', recipient_delimiter: '-', lowercase: 'false' },
  }
  const { apple, ...site } = await startSite(t, { xaps })
  await register(site, 'alice', 'Alice', 'alice@example.com')
  const hears = await listener(apple, site, { address: MARKER.address, user: 'marker' })
  await t.test('with a delimiter of its own', () => hears(['alice-shop@example.com'], ['alice']))
  await t.test('in capitals where case matters', () => hears(['Alice@example.com'], ['Alice']))
})
