/** The plugin as Haraka's own plugins are tested: loaded by haraka-test-fixtures, its hooks called one by one. */

import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { loadCredentials } from '../../plugins/xaps/apns/credentials.ts'
import { parseConfig } from '../../plugins/xaps/config/config.ts'
import type { Address } from '../../plugins/xaps/delivery/address.ts'
import { register } from '../../plugins/xaps/device/record.ts'
import type { Connection, Plugin } from '../../plugins/xaps/haraka/types.ts'
import { openDeviceStore } from '../../plugins/xaps/service.ts'
import { phoneOf } from '../e2e/dovecot-plugins.ts'
import { appleKeys, iniText } from '../e2e/setup.ts'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { keptLog } from '../registration/tools.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

interface XapsPlugin extends Plugin {
  /** Hook → the methods that are registered for it. */
  readonly name: string
  readonly hooks: Readonly<Record<string, readonly string[]>>
  logerror: Plugin['logerror']
  register(): void
  shutdown(): void
}

interface HarakaConnection extends Connection {
  readonly transaction: {
    readonly rcpt_to: readonly Address[]
    readonly results: {
      get(name: string): { readonly pass: readonly unknown[] } | undefined
      add(plugin: object, result: object): void
    }
  }
}

/** What is used of haraka-test-fixtures, which has no types. */
interface Fixtures {
  makePlugin(name: string, options: { register: boolean }): XapsPlugin
  makeConnection(options: { mailFrom: string; rcptTo: readonly string[] }): HarakaConnection
  callHook(plugin: Plugin, method: string, ...args: unknown[]): Promise<{ rc: unknown }>
}

const { makePlugin, makeConnection, callHook }: Fixtures = require('haraka-test-fixtures')

const ALICE = 'alice@example.com'
const GO_ON = { rc: undefined, msg: undefined }

/** A plugin that has not been registered, in a Haraka directory with this xaps.ini and one process. */
function pluginWith(t: TestContext, makeIni: (dir: string) => string): { plugin: XapsPlugin; dir: string } {
  const dir = owned(t, tempDirectory()).path
  mkdirSync(path.join(dir, 'config'))
  writeFileSync(path.join(dir, 'config', 'xaps.ini'), makeIni(dir))
  writeFileSync(path.join(dir, 'config', 'smtp.ini'), 'nodes=0\n')
  writeFileSync(path.join(dir, 'config', 'host_list'), 'example.com\n')
  process.env.HARAKA = dir
  t.after(() => delete process.env.HARAKA)
  return { plugin: makePlugin('xaps', { register: false }), dir }
}

async function registeredPlugin(t: TestContext): Promise<{ plugin: XapsPlugin; apple: Apple }> {
  const apple = owned(t, await startApple())
  const iniOf = (dir: string) =>
    iniText({ apns: appleKeys(apple, dir), push: { window: 0 }, registration: { enabled: 'false' } })
  const { plugin, dir } = pluginWith(t, iniOf)
  await registerPhone(dir, iniOf(dir))
  plugin.register()
  t.after(() => plugin.shutdown())
  return { plugin, apple }
}

async function registerPhone(dir: string, ini: string): Promise<void> {
  const config = parseConfig(ini, dir)
  const store = await openDeviceStore(config, keptLog())
  const { topic } = loadCredentials(config.apns, dir)
  const { account, token } = phoneOf(ALICE)
  const phone = { account, token, mailboxes: ['INBOX'], subtopic: 's', topic, at: Date.now() }
  await store.update(ALICE, record => register(record, phone, { maxDevices: 50 }))
  await store.close()
}

test('the plugin registers a method of its own for each of its hooks', async t => {
  const { plugin } = await registeredPlugin(t)
  assert.deepEqual(plugin.hooks, {
    init_master: ['haraka_ready'],
    init_child: ['haraka_ready'],
    delivered: ['mail_delivered'],
    queue_ok: ['mail_forwarded'],
  })
})

test('each hook lets the next plugin go on, and a mail that was handed over is pushed', async t => {
  const { plugin, apple } = await registeredPlugin(t)
  const connection = makeConnection({ mailFrom: 'sender@example.net', rcptTo: [ALICE] })
  const { rcpt_to, results } = connection.transaction
  const params = ['127.0.0.1', '127.0.0.1', 'Saved', 0.1, 24, 'LMTP', rcpt_to]
  assert.deepEqual(await callHook(plugin, 'haraka_ready'), GO_ON)
  assert.deepEqual(await callHook(plugin, 'mail_delivered', { todo: { rcpt_to } }, params), GO_ON)
  await apple.waitFor(1)
  results.add({ name: 'queue/smtp_forward' }, { pass: 'queued' })
  assert.deepEqual(await callHook(plugin, 'mail_forwarded', connection, 'queued'), GO_ON)
  assert.deepEqual(results.get(plugin.name)?.pass, ['delivered to 1'])
  await apple.waitFor(2)
  assert.deepEqual(
    apple.pushes.map(({ token }) => token),
    Array(2).fill(phoneOf(ALICE).token),
  )
})

test('with an xaps.ini of no use the plugin says so, hooks nothing, and its methods let mail pass', async t => {
  const { plugin } = pluginWith(t, () => '[push]\nwindow = soon\n')
  const errors: string[] = []
  plugin.logerror = message => void errors.push(message)
  plugin.register()
  assert.deepEqual(plugin.hooks, {})
  assert.match(errors.join('\n'), /^push is off: .*window/)
  assert.deepEqual(await callHook(plugin, 'mail_delivered', {}, []), GO_ON)
})
