import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { test } from 'node:test'
import { startHaraka } from '../support/haraka.ts'
import { until } from '../support/wait.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { startSite } from './setup.ts'

const ALICE = 'alice@example.com'

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  for (const nodes of [0, 2]) {
    test(`a push that waits for its window is sent before Haraka ends by ${signal}, with nodes=${nodes}`, async t => {
      const xaps = { push: { window: 600 }, registration: { socket_mode: '0600' } }
      const site = await startSite(t, { nodes, xaps })
      assert.equal(statSync(site.socket).mode & 0o777, 0o600)
      await site.register(ALICE)
      await site.mail(ALICE)
      await site.pushed(1)
      await site.mail(ALICE)
      await until(() => site.log().match(/ delivered file=/g)?.length === 2, 'the second delivery')
      await site.stop(signal)
      assert.deepEqual(site.tokens(), Array(2).fill(phoneOf(ALICE).token))
      assert.equal(existsSync(site.socket), false, 'the socket file is removed')
    })
  }
}

test('Haraka ends when it is told to, also while Apple does not answer', async t => {
  const site = await startSite(t)
  await site.register(ALICE)
  site.apple.faults.hang()
  await site.mail(ALICE)
  await site.apple.waitForRequest(1)
  await site.stop('SIGTERM')
  assert.equal(site.apple.pushes.length, 0)
})

test('a Haraka that ends by itself fails its test, with its output', async () => {
  const haraka = await startHaraka({ plugins: ['rcpt_to.in_host_list'] })
  process.kill(haraka.pid, 'SIGKILL')
  await until(() => !haraka.running(), 'the end of Haraka')
  await assert.rejects(haraka.stop(), /ended by itself/)
})
