/** The push side over a real Redis that was away for long: who waited is pushed when it is back, whatever the back-off. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '../../plugins/xaps/base/clock.ts'
import { register } from '../../plugins/xaps/device/record.ts'
import { RedisStore } from '../../plugins/xaps/device/redis/store.ts'
import { Observer } from '../../plugins/xaps/observe/observer.ts'
import { Pusher } from '../../plugins/xaps/push/pusher.ts'
import { certificateFor, endpointOf } from '../apns/bench.ts'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { startApple } from '../fake/apple/server.ts'
import { FakeClock, turns } from '../support/fake-clock.ts'
import { journalInMemory } from '../support/journal.ts'
import { noLog, recordedLog } from '../support/recorded-log.ts'
import { missingRedis, placeOf, startRedis } from '../support/redis.ts'
import { until } from '../support/wait.ts'
import { deviceOf, SETTINGS, tokenOf } from './parts.ts'

test('the return of Redis is enough: no timer has to go off', { skip: missingRedis() }, async t => {
  const redis = await startRedis()
  t.after(redis.stop)
  const apple = await startApple()
  t.after(() => apple.close())
  const common = { namespace: 'xaps', expireAfterMs: 86_400_000, log: noLog, clock: systemClock }
  const store = new RedisStore({ ...common, place: placeOf(redis.uri), deadlineMs: 300 })
  t.after(() => store.close())
  const {
    registeredAt: _,
    lastSeen: at,
    ...identity
  } = deviceOf(1, { topic: MAIL_TOPIC, lastSeen: Date.now() })
  await store.update('anna', record => register(record, { ...identity, at }, { maxDevices: 50 }))

  const clock = new FakeClock(Date.now(), turns)
  const log = recordedLog()
  const credentials = certificateFor(apple)
  const pusher = new Pusher(
    { ...SETTINGS, ...endpointOf(apple) },
    { store, credentials, observer: new Observer(log, clock), journal: journalInMemory(clock), log },
    clock,
  )
  t.after(() => pusher.close(0))
  await redis.kill()
  await until(
    () =>
      store.devices('anna').then(
        () => false,
        () => true,
      ),
    'Redis to be away',
  )
  pusher.submit({ user: 'anna', kind: 'new', at: clock.now() })
  const wentAway = clock.now()
  await until(async () => {
    await clock.advance(1_000)
    return clock.now() - wentAway > 30_000 && clock.timers === 1
  }, 'the wait to be long')
  const stoodStillAt = clock.now()

  await redis.start()
  const [push] = await apple.waitFor(1)
  assert.equal(push?.token, tokenOf(1))
  assert.equal(clock.now(), stoodStillAt)
})
