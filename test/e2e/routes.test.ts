/** The ways that a mail takes out of Haraka, and whose phones hear of it on each. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startLmtp, startSmtpSink } from '../support/lmtp.ts'
import { owned } from '../support/owned.ts'
import { sendMail } from '../support/smtp.ts'
import { listener } from './hears.ts'
import { FROM, type Sections, startSite } from './setup.ts'

const NO_WINDOW: Sections = { push: { window: 0 } }
const ALICE = 'alice@example.com'
const BOB = 'bob@example.com'
const REFUSED = 'refused@example.com'

/** Config files with which this machine may relay, `domains` by way of a port of 127.0.0.1. */
function relaying(domains: readonly string[], port: number): Record<string, string> {
  const routes = domains.map(domain => `${domain} = {"action":"accept","nexthop":"127.0.0.1:${port}"}`)
  return {
    'relay.ini': '[relay]\nacl=true\nforce_routing=true\n',
    relay_acl_allow: '127.0.0.1/32\n',
    'relay_dest_domains.ini': ['[domains]', ...routes, ''].join('\n'),
  }
}

const DOMAINS = ['example.com', 'named.example', 'foreign.example']
const USERS = DOMAINS.map(domain => `u@${domain}`)

/** [delivery] domains → a domain that is local by it, and whose phones hear of a mail to all USERS. */
const LOCAL = {
  host_list: ['example.com', ['u@example.com']],
  'named.example': ['named.example', ['u@named.example']],
  '*': ['foreign.example', USERS],
} as const

for (const [domains, [local, hearing]] of Object.entries(LOCAL)) {
  test(`of relayed mail the phones of local domains hear, with [delivery] domains = ${domains}`, async t => {
    const nextHop = owned(t, await startSmtpSink())
    const site = await startSite(t, {
      plugins: ['relay', 'rcpt_to.in_host_list', 'queue/lmtp', 'xaps'],
      config: relaying(DOMAINS, nextHop.port),
      xaps: { ...NO_WINDOW, delivery: { domains } },
    })
    await site.register(...USERS)
    const hears = await listener(site, `marker@${local}`)
    await hears(USERS, hearing)
    assert.equal(nextHop.mails.length, USERS.length + 1)
  })
}

test('with smtp_forward the backend decides', async t => {
  const backend = owned(t, await startSmtpSink({ refuseRcpt: new Set([REFUSED]) }))
  const site = await startSite(t, {
    plugins: ['rcpt_to.in_host_list', 'queue/smtp_forward', 'xaps'],
    config: { 'smtp_forward.ini': `host=127.0.0.1\nport=${backend.port}\n` },
    xaps: NO_WINDOW,
  })
  await site.register(ALICE, BOB, REFUSED)
  const hears = await listener(site)

  await t.test('all recipients of a mail that it takes', () =>
    hears([ALICE, 'Bob+x@example.com'], [ALICE, BOB]),
  )
  await t.test('none of a mail of which it refuses one, since Haraka refuses the mail', async () => {
    const { accepted } = await sendMail({ port: site.port, from: FROM, to: [ALICE, REFUSED] })
    assert.equal(accepted, false)
    await hears([BOB], [BOB])
  })
})

test('a mail on its way out is pushed when an LMTP server takes it', async t => {
  const lmtp = owned(t, await startLmtp())
  const route = `[example.com]\nhost=127.0.0.1\nport=${lmtp.port}\nusing_lmtp=true\n`
  const site = await startSite(t, {
    domains: [],
    plugins: ['relay', 'queue/smtp_forward', 'xaps'],
    config: { ...relaying([], 0), 'smtp_forward.ini': `host=127.0.0.1\n${route}` },
    xaps: NO_WINDOW,
  })
  await site.register(ALICE)
  const hears = await listener(site)
  await hears(['alice+x@example.com'], [ALICE])
  assert.equal(lmtp.mails.length, 2)
})

test('mail that is discarded is not pushed', async t => {
  const plugins = ['rcpt_to.in_host_list', 'queue/discard', 'xaps']
  const site = await startSite(t, { plugins, env: { YES_REALLY_DO_DISCARD: '1' } })
  await site.register(ALICE)
  await site.mail(ALICE)
  await site.stop()
  assert.equal(site.apple.requests.length, 0, 'what is pending is sent before Haraka ends')
})
