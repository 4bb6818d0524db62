import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { loadConfig } from '../plugins/xaps/config/config.ts'
import { CurrentSettings, type Settings } from '../plugins/xaps/settings.ts'
import { iniText, type Sections } from './e2e/setup.ts'
import { MAIL_TOPIC, pushCertificate } from './fake/apple/certificates.ts'
import { FakeClock } from './support/fake-clock.ts'
import { owned } from './support/owned.ts'
import { recordedLog } from './support/recorded-log.ts'
import { tempDirectory } from './support/temp.ts'

const OTHER_TOPIC = MAIL_TOPIC.replace(/.$/, digit => (digit === '0' ? '1' : '0'))

/** An installation whose settings are watched. */
function installation(t: TestContext) {
  const temp = owned(t, tempDirectory())
  const clock = new FakeClock()
  const log = recordedLog()
  const file = (name: string) => path.join(temp.path, name)
  const ini = 'config/xaps.ini'
  const write = (name: string, text: string) => writeFileSync(file(name), text)
  const certificate = (names: string, topic = MAIL_TOPIC) => {
    const pair = pushCertificate({ topic })
    write(`${names}.pem`, pair.certificate + pair.key)
  }
  const sections = (more: Sections) => iniText({ apns: { certificate: 'push.pem' }, ...more })
  const save = (more: Sections) => write(ini, sections(more))
  mkdirSync(file('config'))
  certificate('push')
  save({})
  const settings = new CurrentSettings(loadConfig(temp.path), log, clock)
  const told: Settings[] = []
  settings.watch(changed => void told.push(structuredClone(changed)))
  return { clock, log, file, ini, write, certificate, sections, save, settings, told }
}

const CHANGED = 10_000

test('a change is taken up, and one line says what it was', async t => {
  const { save, clock, told, log } = installation(t)
  save({ push: { window: 60, keep_for: 3600 } })
  await clock.advance(CHANGED)
  assert.deepEqual([told.length, told[0]?.config.push.windowMs], [1, 60_000])
  assert.deepEqual(log.loud(), [
    'notice: xaps.ini has changed and is in use changes="[push] window: 5 -> 60; [push] keep_for: 86400 -> 3600"',
  ])
})

test('a change that needs a restart is said, and the rest of the file is taken up', async t => {
  const { save, clock, told, log, settings } = installation(t)
  save({ store: { uri: 'redis://u:geheim@h:1', max_devices: 2 }, registration: { enabled: 'false' } })
  await clock.advance(CHANGED)
  const { store, registration } = settings.latest.config
  assert.deepEqual([store.uri, store.maxDevices, registration.enabled], ['lmdb:xaps', 2, true])
  assert.equal(told.length, 1)
  assert.deepEqual(
    log.lines.map(({ level, fields }) => [level, String(fields.changes).replace(/redis:\S+/, 'redis')]),
    [
      ['notice', '[store] max_devices: 50 -> 2'],
      ['warn', '[store] uri: lmdb:xaps -> redis [registration] enabled: true -> false'],
    ],
  )
  assert.doesNotMatch(log.loud().join(), /geheim/)
})

test('a file of no use changes nothing and is said once; the good one after it is taken up', async t => {
  const { save, clock, told, log } = installation(t)
  save({ push: { window: 60, windw: 1 } })
  await clock.advance(600_000)
  assert.equal(told.length, 0)
  assert.equal(log.loud().length, 1)
  assert.match(log.loud()[0] ?? '', /^error: xaps\.ini has changed and is of no use.*windw = 1/)
  save({ push: { window: 60 } })
  await clock.advance(CHANGED)
  assert.equal(told[0]?.config.push.windowMs, 60_000)
})

test('a file that is being saved is waited for', async t => {
  const { write, ini, sections, clock, told, log, file } = installation(t)
  const whole = sections({ push: { window: 60 } })
  await clock.advance(4_900)
  write(ini, '')
  await clock.advance(200)
  write(ini, whole.slice(0, 20))
  await clock.advance(900)
  rmSync(file(ini))
  await clock.advance(900)
  write(ini, whole)
  await clock.advance(CHANGED)
  assert.equal(told.length, 1)
  assert.equal(told[0]?.config.push.windowMs, 60_000)
  assert.equal(log.loud().length, 1)
})

test('other credentials come with [apns]; where they are of no use nothing of the file is taken up', async t => {
  const { write, save, certificate, clock, told, log } = installation(t)
  const other = { apns: { certificate: 'other.pem' }, push: { window: 60 } }
  save(other)
  await clock.advance(CHANGED)
  assert.equal(told.length, 0)
  assert.match(log.loud()[0] ?? '', /^error: xaps\.ini .*other\.pem: cannot be read/)
  certificate('other', OTHER_TOPIC)
  write('config/xaps.ini', `${iniText(other)}\n`)
  await clock.advance(CHANGED)
  assert.deepEqual([told.length, told[0]?.credentials.topic], [1, OTHER_TOPIC])
  await t.test('and their files are those that are watched then', async () => {
    certificate('other')
    await clock.advance(CHANGED)
    assert.deepEqual([told.length, told[1]?.credentials.topic], [2, MAIL_TOPIC])
  })
})

test('renewed credentials are taken up; of no use, the old ones stay, and xaps.ini is taken up all the same', async t => {
  const { write, save, certificate, clock, told, log } = installation(t)
  certificate('push', OTHER_TOPIC)
  await clock.advance(CHANGED)
  assert.equal(told[0]?.credentials.topic, OTHER_TOPIC)
  write('push.pem', '-----BEGIN CERTI')
  await clock.advance(CHANGED)
  save({ push: { window: 60 } })
  await clock.advance(CHANGED)
  assert.deepEqual(
    [told.length, told[1]?.credentials.topic, told[1]?.config.push.windowMs],
    [2, OTHER_TOPIC, 60_000],
  )
  assert.deepEqual(
    log.loud().map(line => line.split(' cause=')[0]),
    [
      'notice: the credentials for Apple changed on disk; the new ones are in use',
      'error: the changed credentials are of no use; the old ones stay in use',
      'notice: xaps.ini has changed and is in use changes="[push] window: 5 -> 60"',
    ],
  )
})

test('a comment, or a file that was only touched, is no change, and a closed watch keeps no timer', async t => {
  const { write, ini, file, settings, clock, told, log } = installation(t)
  write(ini, `; a comment\n${readFileSync(file(ini), 'utf8')}`)
  chmodSync(file(ini), 0o600)
  await clock.advance(CHANGED)
  assert.deepEqual([told, log.loud()], [[], []])
  settings.close()
  assert.equal(clock.timers, 0)
})
