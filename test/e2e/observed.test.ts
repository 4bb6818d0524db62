/** What an operator sees of a running Haraka with two workers: log, metrics, /status.json, `xaps explain`. */

import assert from 'node:assert/strict'
import test from 'node:test'
import type { Overview } from '../../plugins/xaps/observe/overview.ts'
import { faultsOf, valuesIn } from '../support/promtool.ts'
import { until } from '../support/wait.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { type Site, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')

const get = async ({ httpPort }: Site, path: string) =>
  (await fetch(`http://127.0.0.1:${httpPort}${path}`)).text()

const overviewOf = async (site: Site) => JSON.parse(await get(site, '/status.json')) as Overview

/** Of one metric, all processes added up. */
async function sumOf(site: Site, metric: string): Promise<number> {
  const values = [...valuesIn(await get(site, '/metrics'))]
  const [name = '', labels = ''] = metric.split(/(?=\{)/)
  const wanted = labels.slice(1, -1)
  return values
    .filter(([key]) => key.startsWith(`${name}{`) && key.includes(wanted))
    .reduce((sum, [, value]) => sum + value, 0)
}

test('one grep follows a mail from SMTP to Apple; metrics, page and explain say the same', async t => {
  const site = await startSite(t, { nodes: 2 })
  await site.register(ALICE)
  await site.mail(ALICE.user)
  await site.pushed(1)
  await site.mail('nobody@example.com')

  await t.test("the mail's line has its uuid, and Apple's name for the push", async () => {
    await until(() => site.lines(/decision=pushed/).length === 1, 'the line')
    const [line = ''] = site.lines(/decision=pushed/)
    const [, uuid = '', apnsId] = /mail=([0-9A-F-]{36}\.1)\S* apns_id=([0-9a-f-]{36})/.exec(line) ?? []
    assert.notEqual(apnsId, undefined, line)
    const followed = site
      .log()
      .split('\n')
      .filter(entry => entry.includes(uuid))
    assert.ok(
      followed.some(entry => /RCPT TO|rcpt_to|queue|Queued/i.test(entry)),
      'SMTP is there',
    )
    assert.ok(
      followed.includes(
        site
          .log()
          .split('\n')
          .find(entry => entry.includes('apns_id')) ?? '',
      ),
    )
  })
  await t.test('a mail to a user without a phone has one line, too', async () => {
    await until(() => site.lines(/decision=no_device/).length === 1, 'the line')
    assert.match(site.lines(/decision=no_device/)[0] ?? '', /user=n\*\*\*@example\.com mail=[0-9A-F-]{36}/)
  })
  await t.test('the workers report to the companion', async () => {
    await until(async () => (await sumOf(site, 'xaps_pushes_total{verdict="sent"}')) === 1, 'the push')
    const text = await get(site, '/metrics')
    assert.equal(await faultsOf(text), '')
    assert.equal(await sumOf(site, 'xaps_decisions_total{decision="no_device"}'), 1)
    assert.equal(await sumOf(site, 'xaps_registrations_total{outcome="saved"}'), 1)
    await until(async () => (await overviewOf(site)).processes.length === 3, 'all processes')
    const { health, processes } = await overviewOf(site)
    assert.deepEqual(processes.map(({ process }) => process).sort(), ['companion', 'worker1', 'worker2'])
    assert.equal(health.state, 'works')
    assert.match(health.sentence, /^Push works: Apple accepted the last push \d+ s ago$/)
  })
  await t.test('explain says what became of the last mail', async () => {
    const { stdout } = await site.xaps('explain', ALICE.user)
    assert.match(
      stdout,
      /^ok +last mail: 20\S+Z, pushed, and accepted by Apple \(mail [0-9A-F-]{36}\S*\)\n {6}→ grep/m,
    )
    const { stdout: other } = await site.xaps('explain', 'nobody@example.com')
    assert.match(other, /^ok +last mail: 20\S+Z, not pushed: no phone has registered for this user/m)
  })
  await t.test('a worker that is started again is no reset of a sum', async () => {
    const { processes } = await overviewOf(site)
    const worker = processes.find(({ process, apple }) => process !== 'companion' && apple.acceptedAt)
    process.kill(worker?.pid ?? 0, 'SIGKILL')
    const again = async () => {
      const found = (await overviewOf(site)).processes.find(({ process }) => process === worker?.process)
      return found !== undefined && found.pid !== worker?.pid
    }
    await until(again, 'another worker in its place')
    assert.equal(await sumOf(site, 'xaps_pushes_total{verdict="sent"}'), 1)
  })
})

test('with nodes=0 the one process reports as haraka', async t => {
  const site = await startSite(t, { nodes: 0 })
  await site.register(ALICE)
  await site.mail(ALICE.user)
  await site.pushed(1)
  await until(
    async () => (await sumOf(site, 'xaps_pushes_total{process="haraka",verdict="sent"}')) === 1,
    'it',
  )
})
