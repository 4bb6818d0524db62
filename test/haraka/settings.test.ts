import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { loadCredentials } from '../../plugins/xaps/apns/credentials.ts'
import { parseConfig } from '../../plugins/xaps/config/config.ts'
import { register } from '../../plugins/xaps/device/record.ts'
import { askPrimary } from '../../plugins/xaps/haraka/settings.ts'
import { isEvent } from '../../plugins/xaps/process/message.ts'
import { openDeviceStore } from '../../plugins/xaps/service.ts'
import type { Settings } from '../../plugins/xaps/settings.ts'
import { phoneOf } from '../e2e/dovecot-plugins.ts'
import { appleKeys, iniText } from '../e2e/setup.ts'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { heldClock, keptLog } from '../registration/tools.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const USERS = ['alice', 'bob', 'carol'].map(name => `${name}@example.com`)

/** A worker of a cluster, without Haraka: takes a delivery per message, and passes on what it logs. */
const WORKER = `
const { startInHaraka } = require(${JSON.stringify(require.resolve('../../plugins/xaps/haraka/plugin.js'))})
const log = level => message => process.send({ log: level + ' ' + message })
const xaps = startInHaraka({
  config: { get: () => [] },
  logdebug: () => {}, loginfo: log('info'), lognotice: log('notice'), logwarn: log('warn'), logerror: log('error'),
})
xaps.ready()
process.on('message', ({ deliver }) => {
  if (!deliver) return
  const [user, host] = deliver.split('@')
  const recipient = { user, host }
  xaps.delivered({ todo: { rcpt_to: [recipient] } }, ['', '', 'ok', 0, 24, 'LMTP', [recipient]])
  process.send({ delivered: deliver })
})`

interface Worker {
  readonly child: ChildProcess
  readonly told: readonly { log?: string; delivered?: string }[]
  /** How many deliveries it has taken. */
  delivered(): number
}

/** A worker that has asked for its settings and taken a delivery for each user, before it has an answer. */
async function askingWorker(t: TestContext): Promise<Worker> {
  const temp = owned(t, tempDirectory())
  const script = path.join(temp.path, 'worker.js')
  writeFileSync(script, WORKER)
  // The variable makes a process a worker for Node.
  const child = fork(script, { env: { ...process.env, NODE_UNIQUE_ID: '1' } })
  t.after(() => child.kill('SIGKILL'))
  const told: { log?: string; delivered?: string }[] = []
  let asked = false
  child.on('message', message => {
    if (isEvent(message, 'xaps.ask-settings')) asked = true
    else told.push(message as { log?: string })
  })
  await until(() => asked, 'the question')
  for (const deliver of USERS) child.send({ deliver })
  const delivered = () => told.filter(({ delivered }) => delivered).length
  await until(() => delivered() === USERS.length, 'the deliveries')
  return { child, told, delivered }
}

async function settings(t: TestContext): Promise<{ apple: Apple; settings: Settings }> {
  const apple = owned(t, await startApple())
  const temp = owned(t, tempDirectory())
  const config = parseConfig(iniText({ apns: appleKeys(apple, temp.path), push: { window: 0 } }), temp.path)
  const credentials = loadCredentials(config.apns, temp.path)
  const store = await openDeviceStore(config, keptLog())
  for (const user of USERS) {
    const { account, token } = phoneOf(user)
    const { topic } = credentials
    const registration = { account, token, mailboxes: ['INBOX'], subtopic: 's', topic, at: Date.now() }
    await store.update(user, record => register(record, registration, { maxDevices: 50 }))
  }
  await store.close()
  return { apple, settings: { config, credentials } }
}

test('deliveries before the answer of the primary are kept, and pushed then', async t => {
  const worker = await askingWorker(t)
  const known = await settings(t)
  worker.child.send({ event: 'xaps.settings', settings: known.settings })
  await known.apple.waitFor(USERS.length)
  const pushed = known.apple.pushes.map(({ token }) => token)
  assert.deepEqual(pushed.sort(), USERS.map(user => phoneOf(user).token).sort())
  assert.ok(!worker.told.some(({ log }) => log && !/^info push accepted/.test(log)))
})

test('where push is off in the primary the worker is off too, and says nothing', async t => {
  const { child, told, delivered } = await askingWorker(t)
  child.send({ event: 'xaps.settings' })
  child.send({ deliver: USERS[0] })
  await until(() => delivered() === USERS.length + 1, 'one more delivery')
  assert.ok(!told.some(({ log }) => log))
  child.disconnect()
  const [code] = await once(child, 'exit')
  assert.equal(code, 0)
})

test('no answer for ten seconds is said once; one that comes later counts, and others after it', async () => {
  const clock = heldClock()
  const seen: unknown[] = []
  const late = () => void seen.push('late')
  askPrimary(found => void seen.push(found), late, clock)
  await clock.advance(9_999)
  assert.deepEqual(seen, [])
  await clock.advance(60_000)
  assert.deepEqual(seen, ['late'])
  process.emit('message', { event: 'xaps.settings', settings: 'found' }, undefined)
  process.emit('message', { event: 'xaps.settings', settings: 'again' }, undefined)
  assert.deepEqual(seen, ['late', 'found', 'again'])
})
