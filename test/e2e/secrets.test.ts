import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { startServer } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { xaps } from './run.ts'
import { appleKeys, pluginLines, startSite } from './setup.ts'

test('a key that every user can read is named at the start, once, and by check, until it is mended', async t => {
  const apple = owned(t, await startApple())
  const temp = owned(t, tempDirectory())
  const apns = appleKeys(apple, temp.path)
  const key = path.join(temp.path, 'push.key')
  chmodSync(key, 0o644)
  const site = await startSite(t, { apple, nodes: 2, xaps: { apns } })
  await site.waitForLog(/companion ready/)
  const warnings = pluginLines(site.log()).filter(line => /holds a secret/.test(line))
  assert.equal(warnings.length, 1, warnings.join('\n'))
  assert.match(warnings[0] ?? '', /\[WARN\].*push\.key .*every user of this machine: chmod o= /)

  const before = await xaps(['-c', site.dir, 'check'])
  const [, mending = ''] = /^warn +.*push\.key .*: (chmod .*)$/m.exec(before.stdout) ?? []
  assert.deepEqual([before.status, mending], [0, `chmod o= ${key}`])
  execFileSync('sh', ['-c', mending])
  assert.doesNotMatch((await xaps(['-c', site.dir, 'check'])).stdout, /^warn/m)
})

test('xaps serve by itself says it, too', async t => {
  const apple = owned(t, await startApple())
  const temp = owned(t, tempDirectory())
  const apns = appleKeys(apple, temp.path)
  chmodSync(path.join(temp.path, 'push.key'), 0o604)
  const registration = { enabled: 'false' }
  const site = await startSite(t, { apple, companion: false, xaps: { apns, registration } })
  const main = path.join(__dirname, '../../plugins/xaps/cli/main.js')
  const server = owned(t, startServer(process.execPath, [main, '-c', site.dir, 'serve']))
  const said = await server.waitForOutput(/companion ready/)
  assert.equal(said.match(/<4>.*push\.key holds a secret/g)?.length, 1, said)
})
