import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startApple } from '../fake/apple/server.ts'
import { startLmtp } from '../support/lmtp.ts'
import { owned } from '../support/owned.ts'
import { sendMail } from '../support/smtp.ts'
import { startSmtpSink } from '../support/smtp-sink.ts'
import { listener, register } from './hears.ts'
import { FROM, type Sections, startSite } from './setup.ts'

const NO_WINDOW: Sections = { push: { window: 0 } }
const MARKER = { address: 'marker@example.com', user: 'marker@example.com' }

/** Config files with which this machine may relay, `domains` by way of a port of 127.0.0.1. */
function relaying(domains: readonly string[], port: number): Record<string, string> {
  const routes = domains.map(domain => `${domain} = {"action":"accept","nexthop":"127.0.0.1:${port}"}`)
  return {
    'relay.ini': '[relay]\nacl=true\nforce_routing=true\n',
    relay_acl_allow: '127.0.0.1/32\n',
    'relay_dest_domains.ini': ['[domains]', ...routes, ''].join('\n'),
  }
}

const USERS = ['u@example.com', 'u@named.example', 'u@foreign.example'] as const

/** [delivery] domains → a domain that is local by it, and whose phones hear of a mail to all USERS. */
const LOCAL = {
  host_list: ['example.com', ['u@example.com']],
  'named.example': ['named.example', ['u@named.example']],
  '*': ['foreign.example', USERS],
} as const

for (const [domains, [local, hearing]] of Object.entries(LOCAL)) {
  test(`of relayed mail the phones of local domains hear, with [delivery] domains = ${domains}`, async t => {
    const nextHop = owned(t, await startSmtpSink())
    const { apple, ...site } = await startSite(t, {
      plugins: ['relay', 'rcpt_to.in_host_list', 'queue/lmtp', 'xaps'],
      config: relaying(
        USERS.map(user => user.replace('u@', '')),
        nextHop.port,
      ),
      xaps: { ...NO_WINDOW, delivery: { domains } },
    })
    await register(site, ...USERS)
    const marker = `marker@${local}`
    const hears = await listener(apple, site, { address: marker, user: marker })
    await hears(USERS, hearing)
    assert.equal(nextHop.mails.length, USERS.length + 1)
  })
}

test('smtp_forward: the backend decides', async t => {
  const backend = owned(t, await startSmtpSink({ refuse: new Set(['refused@example.com']) }))
  const { apple, ...site } = await startSite(t, {
    plugins: ['rcpt_to.in_host_list', 'queue/smtp_forward', 'xaps'],
    config: { 'smtp_forward.ini': `host=127.0.0.1\nport=${backend.port}\n` },
    xaps: NO_WINDOW,
  })
  await register(site, 'alice@example.com', 'bob@example.com', 'refused@example.com')
  const hears = await listener(apple, site, MARKER)

  await t.test('all recipients of a mail that it takes', () =>
    hears(['alice@example.com', 'Bob+x@example.com'], ['alice@example.com', 'bob@example.com']),
  )
  await t.test('none of a mail of which it refuses one, since Haraka refuses the mail', async () => {
    const to = ['alice@example.com', 'refused@example.com']
    assert.equal((await sendMail({ port: site.port, from: FROM, to })).accepted, false)
    await hears(['bob@example.com'], ['bob@example.com'])
  })
})

test('a mail on its way out is pushed when an LMTP server takes it', async t => {
  const apple = owned(t, await startApple())
  const lmtp = owned(t, await startLmtp())
  const route = `[example.com]\nhost=127.0.0.1\nport=${lmtp.port}\nusing_lmtp=true\n`
  const site = await startSite(t, {
    apple,
    domains: [],
    plugins: ['relay', 'queue/smtp_forward', 'xaps'],
    config: { ...relaying([], 0), 'smtp_forward.ini': `host=127.0.0.1\n${route}` },
    xaps: NO_WINDOW,
  })
  await register(site, 'alice@example.com')
  const hears = await listener(apple, site, MARKER)
  await hears(['alice+x@example.com'], ['alice@example.com'])
})

test('mail that is discarded is not pushed', async t => {
  const plugins = ['rcpt_to.in_host_list', 'queue/discard', 'xaps']
  const { apple, ...site } = await startSite(t, { plugins, env: { YES_REALLY_DO_DISCARD: '1' } })
  await register(site, 'alice@example.com')
  const { accepted } = await sendMail({ port: site.port, from: FROM, to: ['alice@example.com'] })
  assert.equal(accepted, true)
  await site.stop()
  assert.equal(apple.requests.length, 0, 'what is pending is sent before Haraka ends')
})
