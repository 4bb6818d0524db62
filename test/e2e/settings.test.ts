import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { processEntry } from '../support/server.ts'
import { until } from '../support/wait.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { companionAnswers, type Sections, type Site, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')

/** A mistake → the one line in the log. */
const WRONG: Readonly<Record<string, readonly [Sections, RegExp]>> = {
  'a key that is none': [
    { push: { windw: 3 } },
    /config\/xaps\.ini: \[push\] windw = 3 .*unknown, expected .*window/,
  ],
  'a value out of range': [
    { apns: { port: 'https' } },
    /config\/xaps\.ini: \[apns\] port = https .*expected a whole number from 1 to 65535/,
  ],
  'no credentials': [{ apns: { certificate: '', key: '' } }, /config\/xaps\.ini: \[apns\] .*certificate/],
  'credentials that are not there': [
    { apns: { certificate: '/nowhere/push.pem' } },
    /config\/xaps\.ini: \[apns\] certificate = \/nowhere\/push\.pem/,
  ],
}

for (const [what, [xaps, said]] of Object.entries(WRONG)) {
  const nodes = what === 'a key that is none' ? 2 : 0
  test(`with ${what} there is one clear line, no push, and mail as ever, with nodes=${nodes}`, async t => {
    const site = await startSite(t, { nodes, xaps, companion: false })
    await site.mail(ALICE.user)
    await site.delivered(1)
    const lines = site.lines()
    assert.equal(lines.length, 1, lines.join('\n'))
    assert.match(lines[0] ?? '', /\[ERROR\]/)
    assert.match(lines[0] ?? '', said)
    assert.equal(existsSync(site.socket), false)
    assert.equal(site.children().length, nodes)
    assert.deepEqual([site.apple.requests.length, site.apple.connections.attempts], [0, 0])
  })
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
  const site = await startSite(t, { nodes: 1, xaps: { push: { window: 0 } } })
  await site.register(ALICE)
  const ini = path.join(site.dir, 'config', 'xaps.ini')
  const whole = readFileSync(ini, 'utf8')
  writeFileSync(ini, '[apns]\ncertif')
  writeFileSync(path.join(site.keys, 'push.pem'), '-----BEGIN CERTI')
  const mailIsTaken = () => until(() => site.mail(ALICE.user).then(() => true), 'the mail')

  await t.test('the companion', async () => {
    await replaced(site, isCompanion)
    await companionAnswers(site)
    await site.register(ALICE)
  })
  await t.test('the worker', async () => {
    const listened = () => site.log().match(/listening on/gi)?.length ?? 0
    const before = listened()
    await replaced(site, isWorker)
    await until(() => listened() > before, 'the worker to listen')
    await mailIsTaken()
    assert.equal((await site.pushed(1))[0]?.token, ALICE.token)
  })
  await t.test('one line for each file', () => {
    const warnings = site.lines(/\[WARN\].* on disk /)
    assert.equal(warnings.length, 2, warnings.join('\n'))
    assert.match(warnings[0] ?? '', /xaps\.ini on disk is not what is in use; restart Haraka/)
    assert.match(warnings[1] ?? '', /the credentials on disk are of no use; the last good ones/)
  })
  await t.test('another setting is not taken either, before Haraka is restarted', async () => {
    writeFileSync(ini, whole.replace(/^host = .*$/m, 'host = 192.0.2.1'))
    await replaced(site, isWorker)
    await mailIsTaken()
    assert.equal((await site.pushed(2)).length, 2)
  })
})
