/** A real Dovecot with Sieve tells of its deliveries by its event exporter: who is pushed, and that no mail waits. */

import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Dovecot, missingDovecot, startDovecot } from '../support/dovecot.ts'
import { dialectOf } from '../support/dovecot-conf.ts'
import { exporterByHttp, exporterByUnix, sieve } from '../support/dovecot-exporter.ts'
import { startSmtpSink } from '../support/lmtp.ts'
import { missing } from '../support/need.ts'
import { owned } from '../support/owned.ts'
import { processEntry } from '../support/server.ts'
import { SmtpConnection } from '../support/smtp.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { run } from './run.ts'
import { FROM, startSite } from './setup.ts'

const skip = missingDovecot() || missing('sievec')

/** Subject → what the script does with the mail, and whether that is new mail in INBOX. */
const RULES: readonly [subject: string, action: string, isNew: boolean][] = [
  ['plain', '', true],
  ['list', 'fileinto :create "Lists";', false],
  ['spam', 'discard;', false],
  ['away', 'redirect "else@example.net";', false],
  ['boss', 'fileinto "inbox";', true],
]

const SCRIPT = [
  'require ["fileinto", "mailbox"];',
  ...RULES.filter(([, action]) => action !== '').map(
    ([subject, action]) => `if header :is "subject" "${subject}" { ${action} stop; }`,
  ),
].join('\n')

/** Users of example.com have the script, those of plain.example have none. */
const USERS = Array.from({ length: 100 }, (_, index) => `u${index}@example.com`)
const MARKER = 'Marker@plain.example'
const RENAMED = 'renamed@plain.example'
const FULL = 'full@plain.example'

async function setup(
  t: TestContext,
  users: readonly string[],
  xapsIni: Record<string, Record<string, string>> = {},
  { preferSocket = false } = {},
) {
  const temp = owned(t, tempDirectory())
  // Sieve's compiler writes beside the script.
  chmodSync(temp.path, 0o1777)
  writeFileSync(path.join(temp.path, 'example.com.sieve'), SCRIPT)
  const sink = owned(t, await startSmtpSink())
  const dialect = dialectOf((await run('dovecot', ['--version'])).stdout)
  const events = path.join(temp.path, 'events.sock')
  const delivery = { source: 'events', events_socket: events }
  const registration = { socket_mode: '0666' }
  const site = await startSite(t, { xaps: { push: { window: 0 }, delivery, registration, ...xapsIni } })
  const overSocket = preferSocket && dialect === '2.4'
  const domain = dialect === '2.3' ? '%d' : '%{user | domain}'
  const dovecot = owned(
    t,
    await startDovecot({
      users: [...users, MARKER.toLowerCase(), FULL],
      aliases: { [RENAMED]: MARKER.toLowerCase() },
      quotaFull: [FULL],
      config: [
        overSocket ? exporterByUnix(events) : exporterByHttp(site.httpPort, dialect),
        sieve(path.join(temp.path, `${domain}.sieve`), dialect),
        `submission_host = 127.0.0.1:${sink.port}`,
      ].join('\n'),
    }),
  )
  await site.register(...users, MARKER.toLowerCase(), FULL)
  return { site, dovecot, sink }
}

/** Delivers mails one after the other over one connection; resolves with the milliseconds of each. */
async function deliver(dovecot: Dovecot, mails: readonly (readonly [to: string, subject: string])[]) {
  const connection = await SmtpConnection.open(dovecot.lmtpPort, 'LHLO')
  const times: number[] = []
  for (const [to, subject] of mails) {
    const from = performance.now()
    const { reply } = await connection.send({ from: FROM, to: [to], subject })
    times.push(performance.now() - from)
    assert.equal(reply.code, to === FULL ? 552 : 250, `${to} ${subject}: ${reply.text}\n${dovecot.log()}`)
  }
  await connection.quit()
  return times
}

const tokenOf = (user: string) => phoneOf(user.toLowerCase()).token

test('of 100 mails that Sieve files by 5 rules those in INBOX are pushed, each once, and no other', {
  skip,
}, async t => {
  // Dovecot 2.3 has no driver for a socket.
  const { site, dovecot, sink } = await setup(t, USERS, {}, { preferSocket: true })
  const ruleOf = (index: number) => RULES[index % RULES.length] ?? RULES[0]
  await deliver(
    dovecot,
    USERS.map((user, index) => [index % 2 ? user.toUpperCase() : user, ruleOf(index)?.[0] ?? '']),
  )
  // The end of a delivery without Sieve waits longest, so a push that should not be would be there before this one's.
  await deliver(dovecot, [
    [FULL, 'plain'],
    [MARKER, 'plain'],
  ])
  const { apple } = site
  await site.pushed(({ token }) => token === tokenOf(MARKER))
  const expected = [...USERS.filter((_, index) => ruleOf(index)?.[2]), MARKER]
  assert.equal(expected.length, 41)
  await until(() => apple.requests.length >= expected.length, 'all pushes')
  const nameOf = new Map([...USERS, MARKER].map(user => [tokenOf(user), user]))
  assert.deepEqual(apple.requests.map(({ token }) => nameOf.get(token)).sort(), expected.sort())
  assert.equal(sink.mails.length, 20, 'redirected mails went out')
  const { stdout } = await site.xaps('explain', 'u1@example.com')
  assert.match(stdout, /^ok +last mail: .*not pushed: it is not in INBOX \(mail \S+\)$/m)
  assert.match(site.log(), /the first event of Dovecot's event exporter has come/)
  assert.doesNotMatch(site.log(), new RegExp(`origin=xaps.*${FROM}`))
})

test("without Sieve a renamed user is found by Dovecot's userdb", { skip }, async t => {
  const temp = owned(t, tempDirectory())
  const link = path.join(temp.path, 'auth-userdb')
  const { site, dovecot } = await setup(t, [], { users: { dovecot_userdb: link } })
  await run('ln', ['-s', dovecot.authUserdbPath, link])
  await deliver(dovecot, [[RENAMED, 'plain']])
  const pushes = await site.pushed(1)
  assert.equal(pushes[0]?.token, tokenOf(MARKER))
})

/** Dovecot's own time for a mail is some milliseconds; the XAPS plugins wait for up to a second. */
const MOST_MS = 1_500

test('no delivery waits for the companion, whatever it does', { skip, timeout: 120_000 }, async t => {
  const users = USERS.slice(0, 5)
  const { site, dovecot } = await setup(t, users)
  const { apple } = site
  const mails = (count: number) =>
    Array.from({ length: count }, (_, index) => [users[index % users.length] ?? '', 'plain'] as const)
  const measured = async (state: string) => {
    const times = (await deliver(dovecot, mails(60))).sort((a, b) => a - b)
    const [middle = 0, longest = 0] = [times[30], times.at(-1)]
    t.diagnostic(
      `LMTP while the companion ${state}: median ${middle.toFixed(1)} ms, longest ${longest.toFixed(1)} ms`,
    )
    assert.ok(longest < MOST_MS, `${state}: ${longest} ms`)
  }
  /** New mail is pushed again: Dovecot may lose an event, or several, in between. */
  const pushesAgain = (user: string) => {
    apple.clear()
    return until(
      async () => {
        await deliver(dovecot, [[user, 'plain']])
        return apple.pushes.some(({ token }) => token === tokenOf(user))
      },
      'a push',
      40_000,
    )
  }

  await measured('works')
  await t.test('Apple hangs', async () => {
    apple.faults.hang()
    await measured('waits for Apple')
    await apple.heal()
  })
  await t.test('killed', async () => {
    const killed = site.companion()
    process.kill(killed, 'SIGKILL')
    await measured('has been killed')
    await until(() => !processEntry(killed), 'its end')
    await pushesAgain(users[0] ?? '')
  })
  await t.test('stopped', async () => {
    const stopped = site.companion()
    process.kill(stopped, 'SIGSTOP')
    await measured('is stopped')
    process.kill(stopped, 'SIGCONT')
    await pushesAgain(users[1] ?? '')
  })
})
