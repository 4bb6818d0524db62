import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { processEntry } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { appleKeys, companionAnswers, mailTo, pluginLines, pushed, type Site, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')

async function clusterSite(t: TestContext): Promise<{ site: Site; apple: Apple; keys: string }> {
  const apple = owned(t, await startApple())
  const temp = owned(t, tempDirectory())
  const apns = appleKeys(apple, temp.path)
  const site = await startSite(t, { apple, nodes: 1, xaps: { apns, push: { window: 0 } } })
  return { site, apple, keys: temp.path }
}

async function replaced(site: Site, is: (command: string) => boolean): Promise<void> {
  const first = site.children().find(({ command }) => is(command))?.pid ?? 0
  process.kill(first, 'SIGKILL')
  await until(() => !processEntry(first), 'its end')
  await until(() => site.children().some(({ pid, command }) => pid !== first && is(command)), 'the next one')
}

const isCompanion = (command: string) => / serve /.test(command)
const isWorker = (command: string) => !isCompanion(command)

test('half a file changes nothing for a worker or companion that starts again, and the log says so', async t => {
  const { site, apple, keys } = await clusterSite(t)
  await registerByLine(site.socket, ALICE)
  const ini = path.join(site.dir, 'config', 'xaps.ini')
  const whole = readFileSync(ini, 'utf8')
  writeFileSync(ini, '[apns]\ncertif')
  writeFileSync(path.join(keys, 'push.pem'), '-----BEGIN CERTI')

  await t.test('the companion', async () => {
    await replaced(site, isCompanion)
    await companionAnswers(site)
    assert.match(await registerByLine(site.socket, ALICE), /^OK ./)
  })
  await t.test('the worker', async () => {
    const listened = site.log().match(/Listening on|listening on/g)?.length ?? 0
    await replaced(site, isWorker)
    await until(
      () => (site.log().match(/Listening on|listening on/g)?.length ?? 0) > listened,
      'the worker to listen',
    )
    await until(() => mailTo(site, ALICE.user).then(() => true), 'the mail')
    assert.equal((await pushed(apple, site, 1))[0]?.token, ALICE.token)
  })
  await t.test('one line for each file', () => {
    const warnings = pluginLines(site.log()).filter(line => /\[WARN\].* on disk /.test(line))
    assert.equal(warnings.length, 2, warnings.join('\n'))
    assert.match(warnings[0] ?? '', /xaps\.ini on disk is not what is in use; restart Haraka/)
    assert.match(warnings[1] ?? '', /the credentials on disk are of no use; the last good ones/)
  })
  await t.test('another setting is not taken either, before Haraka is restarted', async () => {
    writeFileSync(ini, whole.replace(/^host = .*$/m, 'host = 192.0.2.1'))
    await replaced(site, isWorker)
    await until(() => mailTo(site, ALICE.user).then(() => true), 'the mail')
    assert.equal((await pushed(apple, site, 2)).length, 2)
  })
})

test('with a configuration of no use a cluster has one clear line, no push, and mail as ever', async t => {
  const { lmtp, ...site } = await startSite(t, {
    nodes: 2,
    xaps: { push: { windw: 3 } },
    companion: false,
  })
  await mailTo(site, ALICE.user)
  await until(() => lmtp.mails.length === 1, 'the mail')
  const lines = pluginLines(site.log())
  assert.equal(lines.length, 1, lines.join('\n'))
  assert.match(lines[0] ?? '', /\[ERROR\].*windw = 3/)
})
