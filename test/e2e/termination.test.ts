import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { until } from '../support/wait.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { register } from './hears.ts'
import { mailTo, pushed, startSite } from './setup.ts'

const ALICE = 'alice@example.com'

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  for (const nodes of [0, 2]) {
    test(`a push that waits for its window is sent before Haraka ends by ${signal}, with nodes=${nodes}`, async t => {
      const xaps = { push: { window: 600 } }
      const { apple, ...site } = await startSite(t, { nodes, xaps })
      await register(site, ALICE)
      await mailTo(site, ALICE)
      await pushed(apple, site, 1)
      await mailTo(site, ALICE)
      await until(() => site.log().match(/ delivered file=/g)?.length === 2, 'the second delivery')
      await site.stop(signal)
      assert.deepEqual(
        apple.pushes.map(({ token }) => token),
        Array(2).fill(phoneOf(ALICE).token),
      )
      assert.equal(existsSync(site.socket), false, 'the socket file is removed')
    })
  }
}

test('Haraka ends when it is told to, also while Apple does not answer', async t => {
  const { apple, ...site } = await startSite(t)
  await register(site, ALICE)
  apple.faults.hang()
  await mailTo(site, ALICE)
  await apple.waitForRequest(1)
  await site.stop('SIGTERM')
  assert.equal(apple.pushes.length, 0)
})
