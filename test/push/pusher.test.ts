/** The push side as a whole: an event goes in, the Apple stand-in gets the push, and the store hears the verdict. */

import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import type { Credentials } from '../../plugins/xaps/apns/credentials.ts'
import { systemClock } from '../../plugins/xaps/base/clock.ts'
import { type Device, EMPTY_RECORD, type UserRecord } from '../../plugins/xaps/device/device.ts'
import { Observer } from '../../plugins/xaps/observe/observer.ts'
import { Pusher } from '../../plugins/xaps/push/pusher.ts'
import { certificateFor, endpointOf } from '../apns/bench.ts'
import { MAIL_TOPIC, pushCertificate } from '../fake/apple/certificates.ts'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { claimsInMemory } from '../support/claims.ts'
import { journalInMemory } from '../support/journal.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'
import { until } from '../support/wait.ts'
import { deviceOf, SETTINGS, tokenOf } from './parts.ts'

const NEW_TOPIC = 'com.apple.mobilemail.push.org.example'

interface Side {
  readonly apple: Apple
  readonly log: RecordedLog
  readonly pusher: Pusher
  /** What the store holds. */
  readonly records: Map<string, UserRecord>
  devices(user: string): Promise<readonly Device[]>
  /** A new mail for `user`, now. */
  mail(user: string): void
}

const pair = pushCertificate({ topics: [MAIL_TOPIC] })

function credentialsFor(apple: Apple, certificate = pair, topic = MAIL_TOPIC): Credentials {
  return { ...certificateFor(apple, certificate), topic, topics: [topic] }
}

/** A push side over a store in memory. The user `one` has device 1, `two` device 2, and so on up to 9. */
async function side(t: TestContext): Promise<Side> {
  const apple = await startApple()
  const log = recordedLog()
  const records = new Map<string, UserRecord>()
  const claims = claimsInMemory(Date.now)
  for (let number = 1; number <= 9; number += 1) {
    records.set(`user${number}`, { devices: [deviceOf(number, { topic: MAIL_TOPIC })], gone: [] })
  }
  const s: Side = {
    apple,
    log,
    records,
    devices: async user => records.get(user)?.devices ?? [],
    pusher: new Pusher(
      { ...SETTINGS, windowMs: 300, ...endpointOf(apple) },
      {
        store: {
          devices: user => s.devices(user),
          update: async (user, change) => {
            const record = change(records.get(user) ?? EMPTY_RECORD)
            records.set(user, record)
            return record
          },
          claim: (push, request) => claims.claim(push, request),
          onReady: () => undefined,
        },
        credentials: credentialsFor(apple),
        observer: new Observer(log, systemClock),
        journal: journalInMemory(),
        log,
      },
    ),
    mail: user => s.pusher.submit({ user, kind: 'new', at: Date.now() }),
  }
  t.after(async () => {
    await s.pusher.close(0)
    await apple.close()
  })
  return s
}

function devicesOf(s: Side, user: string): readonly Device[] {
  return s.records.get(user)?.devices ?? []
}

function hang(): Promise<never> {
  return new Promise(() => undefined)
}

test('an event of a user is pushed to all devices, and no one else', async t => {
  const s = await side(t)
  s.records.set('anna', {
    devices: [deviceOf(11, { topic: MAIL_TOPIC }), deviceOf(12, { topic: MAIL_TOPIC })],
    gone: [],
  })
  s.mail('anna')
  const pushes = await s.apple.waitFor(2)
  assert.deepEqual(pushes.map(({ token }) => token).sort(), [tokenOf(11), tokenOf(12)])
})

test('the store hears that a device is gone, and that a token is bad while others are accepted', async t => {
  const s = await side(t)
  s.apple.faults.answerDevice(tokenOf(1), 'Unregistered', { timestamp: 2_000 })
  s.apple.faults.answerDevice(tokenOf(2), 'BadDeviceToken')
  s.mail('user1')
  await until(() => devicesOf(s, 'user1').length === 0, 'the removal')
  s.mail('user2')
  await until(() => s.log.loud().length > 0, 'the alarm')
  assert.equal(devicesOf(s, 'user2').length, 1, 'no other was accepted yet')
  s.mail('user3')
  await until(() => s.log.lines.some(({ message }) => /accepted by Apple/.test(message)), 'the verdict')
  s.mail('user2')
  await until(() => devicesOf(s, 'user2').length === 0, 'the removal')
})

test('an accepted push proves nothing of credentials that were renewed while it was under way', async t => {
  const s = await side(t)
  s.apple.faults.latency(200)
  s.mail('user3')
  await s.apple.waitForRequest(1)
  s.apple.faults.latency(0)
  s.apple.faults.answerDevice(tokenOf(1), 'BadDeviceToken')
  s.pusher.renew(credentialsFor(s.apple, pushCertificate()))
  await until(() => s.log.lines.some(({ message }) => /accepted by Apple/.test(message)), 'the verdict')
  s.mail('user1')
  await until(() => s.log.loud().length > 0, 'the alarm')
  assert.equal(devicesOf(s, 'user1').length, 1)
})

test('what waited because of bad credentials is pushed as soon as they are renewed', async t => {
  const s = await side(t)
  s.apple.faults.answer('BadCertificate')
  s.mail('user1')
  s.mail('user2')
  await until(() => s.log.loud().some(line => /^error: Apple refuses our pushes/.test(line)), 'the alarm')
  await s.apple.heal()
  s.pusher.renew(credentialsFor(s.apple, pushCertificate()))
  await s.apple.waitFor(2)
  assert.equal(devicesOf(s, 'user1').length, 1)
})

test('after a change of topic the phones of the old one are left alone, and hold up no others', async t => {
  const s = await side(t)
  s.apple.faults.answer('BadCertificate')
  s.mail('user1')
  await until(() => s.pusher.pending === 1 && s.log.loud().length > 0, 'a pending push')
  await s.apple.heal()
  s.records.set('user2', { devices: [deviceOf(2, { topic: NEW_TOPIC })], gone: [] })
  s.pusher.renew(credentialsFor(s.apple, pushCertificate({ topic: NEW_TOPIC }), NEW_TOPIC))
  s.mail('user2')
  const [push] = await s.apple.waitFor(1)
  assert.equal(push?.token, tokenOf(2))
  await until(() => s.pusher.pending === 0, 'the old one to be dropped')
  assert.equal(s.apple.counts.requests, 2)
  assert.equal(devicesOf(s, 'user1').length, 1)
})

test('close sends what waits for its window, and takes nothing more', async t => {
  const s = await side(t)
  s.mail('user1')
  await s.apple.waitFor(1)
  s.mail('user1')
  s.pusher.submit({ user: 'user2', kind: 'change', at: Date.now() })
  await s.pusher.close(3_000)
  assert.equal(s.apple.pushes.length, 3)
  s.mail('user3')
  s.pusher.warmUp()
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(s.pusher.pending, 0)
  assert.equal(s.apple.connections.attempts, 1)
})

test('close ends in time with a store that hangs, and still sends what was looked up before', async t => {
  const s = await side(t)
  s.mail('user1')
  await s.apple.waitFor(1)
  s.mail('user1')
  await until(() => s.pusher.pending === 1, 'a push that waits for its window')
  s.devices = hang
  s.mail('user2')
  await s.pusher.close(500)
  assert.equal(s.apple.pushes.length, 2)
})

for (const [name, breakIt] of [
  ['is a black hole', (s: Side) => s.apple.faults.blackHole()],
  ['refuses connections', (s: Side) => s.apple.faults.refuse()],
  ['never answers', (s: Side) => s.apple.faults.hang()],
] as const) {
  test(`close ends in time while Apple ${name}`, async t => {
    const s = await side(t)
    await breakIt(s)
    for (let number = 1; number <= 9; number += 1) s.mail(`user${number}`)
    const since = Date.now()
    await s.pusher.close(400)
    assert.ok(Date.now() - since < 3_000)
  })
}
