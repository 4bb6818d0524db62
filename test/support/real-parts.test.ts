import assert from 'node:assert/strict'
import { test } from 'node:test'
import { missingDovecot, startDovecot } from './dovecot.ts'
import { startHaraka } from './haraka.ts'
import { startLmtp } from './lmtp.ts'
import { owned } from './owned.ts'
import { sendMail } from './smtp.ts'
import { until } from './wait.ts'

const PLUGINS = ['rcpt_to.in_host_list', 'queue/lmtp']
const from = 'sender@example.net'

for (const nodes of [0, 2]) {
  test(`a mail goes through a real Haraka with nodes=${nodes} into a real Maildir`, {
    skip: missingDovecot(),
  }, async t => {
    const dovecot = owned(
      t,
      await startDovecot({
        users: ['alice@example.com', 'full@example.com'],
        quotaFull: ['full@example.com'],
      }),
    )
    const haraka = owned(
      t,
      await startHaraka({
        plugins: PLUGINS,
        nodes,
        config: { 'lmtp.ini': `host=127.0.0.1\nport=${dovecot.lmtpPort}\n` },
      }),
    )
    const to = ['alice@example.com', 'full@example.com']
    const result = await sendMail({ port: haraka.port, from, to, body: '.dots\n..' })
    assert.equal(result.accepted, true)
    const mail = await until(() => dovecot.inbox('alice@example.com')[0], 'the mail in the Maildir')
    assert.match(mail, /^\.dots\r?$/m)
    await until(() => /Quota exceeded/.test(dovecot.log()), 'the refusal after DATA')
    assert.deepEqual(dovecot.inbox('full@example.com'), [])
  })
}

test('without a Dovecot the small LMTP receiver takes the mail, and refuses whom it was told to', async t => {
  const lmtp = owned(
    t,
    await startLmtp({
      refuseRcpt: new Set(['nobody@example.com']),
      refuseAfterData: new Set(['full@example.com']),
    }),
  )
  const haraka = owned(
    t,
    await startHaraka({
      plugins: PLUGINS,
      config: { 'lmtp.ini': `host=127.0.0.1\nport=${lmtp.port}\n` },
    }),
  )
  const to = ['full@example.com', 'nobody@example.com', 'alice@example.com', 'a@elsewhere.example']
  const { recipients } = await sendMail({ port: haraka.port, from, to })
  assert.deepEqual(
    recipients.map(({ code }) => code),
    [250, 250, 250, 550],
  )
  const mail = await until(() => lmtp.mails[0], 'the mail')
  assert.deepEqual(mail.to, ['alice@example.com'])
})

test('a Haraka that ends by itself is reported with its output', async t => {
  const haraka = await startHaraka({ plugins: PLUGINS })
  t.after(() => assert.rejects(haraka.stop(), /ended by itself/))
  process.kill(haraka.pid, 'SIGKILL')
  await until(() => !haraka.running(), 'the end of Haraka')
})
