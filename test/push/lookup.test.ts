import assert from 'node:assert/strict'
import test from 'node:test'
import { DamagedRecord, userKey } from '../../plugins/xaps/device/codec.ts'
import type { Device } from '../../plugins/xaps/device/device.ts'
import type { MailEvent } from '../../plugins/xaps/event.ts'
import { Observer } from '../../plugins/xaps/observe/observer.ts'
import { Lookup } from '../../plugins/xaps/push/lookup.ts'
import type { Target } from '../../plugins/xaps/push/settle.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { NO_JOURNAL } from '../support/journal.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'
import { deviceOf } from './parts.ts'

interface Bench {
  readonly clock: FakeClock
  readonly log: RecordedLog
  readonly lookup: Lookup
  /** Users that the store was asked for. */
  readonly asked: string[]
  readonly found: { target: Target; event: MailEvent }[]
  devices: (user: string) => Promise<readonly Device[]>
  submit(user: string, kind?: MailEvent['kind']): void
}

const away = (): Promise<never> => Promise.reject(new Error('store away'))

function bench(keepForMs = 86_400_000): Bench {
  const clock = new FakeClock()
  const log = recordedLog()
  const b: Bench = {
    clock,
    log,
    asked: [],
    found: [],
    devices: async () => [deviceOf(1)],
    submit: (user, kind = 'new') => b.lookup.submit({ user, kind, at: clock.now() }),
    lookup: new Lookup(
      {
        devices: user => {
          b.asked.push(user)
          return b.devices(user)
        },
      },
      {
        found: (target, event) => b.found.push({ target, event }),
        observer: new Observer(log, clock),
        journal: NO_JOURNAL,
      },
      { keepForMs },
      log,
      clock,
    ),
  }
  return b
}

/** Lets every lookup take `ms` and end as `answer` does. Returns how many were under way at the same time at most. */
function concurrency(b: Bench, ms: number, answer: () => Promise<readonly Device[]>): () => number {
  let open = 0
  let most = 0
  b.devices = async () => {
    open += 1
    most = Math.max(most, open)
    await b.clock.sleep(ms)
    open -= 1
    return answer()
  }
  return () => most
}

test('an event that comes with its devices needs no lookup, even while the store is away', async () => {
  const b = bench()
  b.devices = away
  b.submit('ben')
  await settle()
  b.lookup.submit({ user: 'anna', kind: 'new', at: b.clock.now() }, [deviceOf(1), deviceOf(2)])
  assert.equal(b.found.length, 2)
  assert.deepEqual(b.asked, ['ben'])
  b.lookup.close()
  b.lookup.submit({ user: 'anna', kind: 'new', at: b.clock.now() }, [deviceOf(1)])
  assert.equal(b.found.length, 2)
})

test('an account id that its phone has left is passed on for two days and then no more', async () => {
  const b = bench()
  const hour = 3_600_000
  const left = b.clock.now()
  b.devices = async () => [
    deviceOf(1, { account: 'left', lastSeen: left }),
    deviceOf(1, { account: 'used', lastSeen: b.clock.now() }),
  ]
  const pushed = async (): Promise<string[]> => {
    b.found.length = 0
    b.submit('anna')
    await settle()
    return b.found.map(({ target }) => target.device.account)
  }
  await b.clock.advance(48 * hour)
  assert.deepEqual(await pushed(), ['left', 'used'])
  await b.clock.advance(hour)
  assert.deepEqual(await pushed(), ['used'])
  b.found.length = 0
  b.lookup.submit({ user: 'anna', kind: 'new', at: b.clock.now() }, await b.devices('anna'))
  assert.equal(b.found.length, 1, 'devices that came with the event')
})

test('an event is passed on for every device of its user; one without devices costs a lookup, and is told', async () => {
  const b = bench()
  b.devices = async user => (user === 'anna' ? [deviceOf(1), deviceOf(2)] : [])
  b.submit('anna')
  b.submit('nobody')
  await b.clock.advance(60_000)
  assert.deepEqual(
    b.found.map(({ target: { user, device } }) => [user, device]),
    [deviceOf(1), deviceOf(2)].map(device => ['anna', device]),
  )
  assert.deepEqual(b.asked, ['anna', 'nobody'])
  assert.deepEqual(
    b.log.lines.map(({ fields }) => fields),
    [{ decision: 'no_device', user: 'n***' }],
  )
  assert.equal(b.clock.timers, 0)
})

test('while the store is away there is one entry per user and one probe at a time', async () => {
  const b = bench()
  b.devices = away
  b.submit('first')
  await settle()
  const most = concurrency(b, 100, away)
  for (let round = 0; round < 100; round += 1) {
    for (let user = 0; user < 20; user += 1) b.submit(`user${user}`)
    await b.clock.advance(1_000)
  }
  assert.equal(b.lookup.waiting, 21)
  assert.equal(most(), 1)
  assert.ok(b.asked.length < 25, `${b.asked.length} lookups in 100 seconds`)
})

test('lookups that fail together count as one failure', async () => {
  const b = bench()
  b.devices = async () => b.clock.sleep(10).then(away)
  for (let user = 0; user < 100; user += 1) b.submit(`user${user}`)
  await b.clock.advance(600)
  assert.ok(b.asked.length === 101, `${b.asked.length - 100} probes in half a second`)
  assert.equal(b.log.loud().length, 1)
})

test('when the store is back every user that waited is passed on once, the newest event as urgent as the most urgent', async () => {
  const b = bench()
  b.devices = away
  b.submit('anna')
  await b.clock.advance(10)
  b.submit('anna', 'change')
  b.submit('ben', 'change')
  b.submit('cleo')
  const at = b.clock.now()
  await b.clock.advance(120_000)
  b.devices = async () => [deviceOf(1)]
  await b.clock.advance(15_000)
  assert.deepEqual(
    b.found.map(({ event }) => event).sort((a, c) => a.user.localeCompare(c.user)),
    [
      { user: 'anna', kind: 'new', at },
      { user: 'ben', kind: 'change', at },
      { user: 'cleo', kind: 'new', at },
    ],
  )
  assert.deepEqual(
    b.log.loud().map(line => line.replace(/=\d+/, '=…')),
    [
      'warn: the device store does not answer; pushes wait for it cause="store away"',
      'notice: the device store answers again users_waiting=…',
    ],
  )
  assert.equal(b.clock.timers, 0)
  b.submit('dora')
  await settle()
  assert.equal(b.found.length, 4, 'events are looked up at once again')
})

test('a store that has just come back is asked for those who waited some at a time', async () => {
  const b = bench()
  b.devices = away
  for (let user = 0; user < 10_000; user += 1) b.submit(`user${user}`)
  await b.clock.advance(60_000)
  const most = concurrency(b, 1, async () => [deviceOf(1)])
  await b.clock.advance(30_000)
  assert.equal(b.found.length, 10_000)
  assert.equal(new Set(b.found.map(({ target }) => target.user)).size, 10_000)
  assert.ok(most() <= 60, `${most()} at a time`)
})

test('a store that comes and goes is said at first, and then counted', async () => {
  const b = bench()
  const flap = async () => {
    for (const devices of [away, async () => []]) {
      b.devices = devices
      b.submit('anna')
      await b.clock.advance(20_000)
    }
  }
  for (let round = 0; round < 5; round += 1) await flap()
  await b.clock.advance(600_000)
  await flap()
  assert.deepEqual(
    b.log.loud().map(line => line.replace(/ (cause|users_waiting)=("[^"]*"|\d+)/, '')),
    [
      'warn: the device store does not answer; pushes wait for it',
      'notice: the device store answers again',
      'notice: the device store answers again changes=8 minutes=5',
      'warn: the device store does not answer; pushes wait for it',
      'notice: the device store answers again',
    ],
  )
})

test('a store that says it is back is asked at once, not when the wait is over', async () => {
  const b = bench()
  b.lookup.storeIsBack()
  assert.deepEqual(b.asked, [], 'it was never away')
  b.devices = away
  b.submit('anna')
  await b.clock.advance(120_000)
  assert.ok(b.clock.next, 'it waits for its next try')
  b.devices = async () => [deviceOf(1)]
  b.lookup.storeIsBack()
  await settle()
  assert.equal(b.found.length, 1)
  assert.equal(b.clock.timers, 0)
})

test('a store that is back but still loading is asked again soon, and a lookup from before that counts for nothing', async () => {
  const b = bench()
  b.devices = away
  b.submit('anna')
  await b.clock.advance(120_000)
  let fail = (): void => undefined
  b.devices = () => new Promise((_, reject) => (fail = () => reject(new Error('lost'))))
  b.lookup.storeIsBack()
  b.lookup.storeIsBack()
  fail()
  await settle()
  assert.ok((b.clock.next ?? 60_000) <= 500)
  b.devices = away
  await b.clock.advance(500)
  assert.ok((b.clock.next ?? 60_000) <= 1_000)
})

test('what waits for the store longer than keep_for is dropped', async () => {
  const b = bench(60_000)
  b.devices = away
  b.submit('anna')
  await b.clock.advance(90_000)
  b.devices = async () => [deviceOf(1)]
  await b.clock.advance(60_000)
  assert.equal(b.lookup.waiting, 0)
  assert.equal(b.found.length, 0)
  b.submit('ben')
  await settle()
  assert.equal(b.found.length, 1)
})

test('settled waits for lookups under way; a closed lookup takes no more and keeps no timer', async () => {
  const b = bench()
  b.devices = async () => b.clock.sleep(100).then(() => [deviceOf(1)])
  b.submit('anna')
  const start = b.clock.now()
  const settledAt = b.lookup.settled().then(() => b.clock.now() - start)
  await b.clock.advance(100)
  assert.equal(await settledAt, 100)
  b.devices = away
  b.submit('ben')
  await settle()
  b.lookup.close()
  b.submit('cleo')
  assert.equal(b.lookup.waiting, 0)
  assert.equal(b.clock.timers, 0)
})

test('a damaged record is the matter of its user alone: no other waits, and its line has no name in it', async () => {
  const b = bench()
  b.devices = () => {
    if (b.asked.at(-1) === 'alice') throw new DamagedRecord('the stored devices of "alice" are damaged')
    return Promise.resolve([deviceOf(1)])
  }
  b.submit('alice')
  await settle()
  b.submit('bob')
  await settle()
  assert.deepEqual(
    b.found.map(({ target }) => target.user),
    ['bob'],
  )
  assert.equal(b.lookup.waiting, 0)
  assert.deepEqual(b.log.loud().length, 1)
  assert.match(b.log.loud()[0] ?? '', /^error: the stored devices of a user are damaged.* user=a\*\*\*/)
  assert.doesNotMatch(b.log.loud().join(), /alice/)
  assert.equal(b.clock.timers, 0)
})

test('a name that no user can have has no devices, and the store is not away', async () => {
  const b = bench()
  b.devices = async user => {
    userKey(user)
    return [deviceOf(1)]
  }
  for (const user of ['half \ud800', 'bob']) {
    b.submit(user)
    await settle()
  }
  assert.deepEqual([b.found.length, b.lookup.waiting, b.log.loud()], [1, 0, []])
})

test('users whom another process has left are looked up some at a time, and some in each turn of the event loop', async () => {
  const b = bench()
  const at = b.clock.now()
  for (let user = 0; user < 1_000; user += 1) b.lookup.resume({ user: `user${user}`, at })
  await settle()
  assert.ok(b.asked.length <= 60, `${b.asked.length} in one turn`)
  b.submit('new mail')
  await settle()
  assert.equal(b.found.at(-1)?.target.user, 'new mail')
  const settled = b.lookup.settled()
  await b.clock.advance(10)
  await settled
  assert.deepEqual([b.found.length, b.lookup.waiting, b.clock.timers], [1_001, 0, 0])
})
