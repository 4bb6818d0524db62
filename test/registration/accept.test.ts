import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Registration } from '../../plugins/xaps/device/record.ts'
import type { RegistrationOutcome } from '../../plugins/xaps/observe/decisions.ts'
import { makeAccept } from '../../plugins/xaps/registration/accept.ts'
import { Outages } from '../../plugins/xaps/registration/outages.ts'
import { Unavailable } from '../../plugins/xaps/registration/refusal.ts'
import type { Save } from '../../plugins/xaps/registration/spool.ts'
import { heldClock, keptLog } from './tools.ts'

const TOPIC = 'com.apple.mail.XServer.01234567-89ab-cdef-0123-456789abcdef'

const registration = {
  user: 'user@example.org',
  account: '0715A26B-CA09-4730-A419-793000CA982E',
  token: 'ab'.repeat(32),
  mailboxes: ['INBOX'],
  subtopic: 'com.apple.mobilemail',
}

const never = () => new Promise<void>(() => undefined)
const fails = () => Promise.reject(new Error('out of order'))

type Kept = Registration & { readonly user: string }

function setup(parts: { save?: Save; add?: () => Promise<void>; topic?: () => string }) {
  const clock = heldClock()
  const log = keptLog()
  const saved: Kept[] = []
  const spooled: Kept[] = []
  const spool = {
    add: async (user: string, kept: Registration) => {
      await parts.add?.()
      spooled.push({ user, ...kept })
    },
  }
  const save: Save = async (user, kept) => {
    await parts.save?.(user, kept)
    saved.push({ user, ...kept })
  }
  const outages = new Outages(log, clock)
  const outcomes: RegistrationOutcome[] = []
  const registered = (outcome: RegistrationOutcome) => void outcomes.push(outcome)
  const accept = makeAccept({ save, spool, outages, registered, topic: parts.topic ?? (() => TOPIC) }, clock)
  const of = (user: string) => accept({ ...registration, user }, clock.now())
  /** Two users' registrations that cannot be saved. */
  const storeIsAway = async () => {
    for (const user of ['one', 'two']) await of(user).catch(() => undefined)
  }
  return { clock, log, saved, spooled, outages, outcomes, accept, of, storeIsAway }
}

test('answers with the topic once the store has the registration, with the time at which it came', async () => {
  const { clock, saved, spooled, accept } = setup({})
  assert.equal(await accept(registration, clock.now()), TOPIC)
  assert.deepEqual(saved, [{ ...registration, topic: TOPIC, at: clock.now() }])
  assert.deepEqual(spooled, [])
})

test('spools a registration that the store refuses, and answers with the topic', async () => {
  const { clock, spooled, accept } = setup({ save: fails })
  assert.equal(await accept(registration, clock.now()), TOPIC)
  assert.deepEqual(spooled, [{ ...registration, topic: TOPIC, at: clock.now() }])
})

test('spools a registration that the store does not take within 400 ms of the request', async () => {
  const { clock, spooled, accept } = setup({ save: never })
  const answer = accept(registration, clock.now() - 100)
  await clock.advance(299)
  assert.equal(spooled.length, 0)
  await clock.advance(1)
  assert.equal(spooled.length, 1)
  assert.equal(await answer, TOPIC)
})

test('refuses with a text fit for the phone when neither store nor spool takes the registration', async () => {
  const { clock, accept } = setup({ save: fails, add: fails })
  await assert.rejects(accept(registration, clock.now()), {
    name: 'Unavailable',
    message: 'temporarily unavailable, try again',
  })
})

test('refuses 650 ms after the request when store and spool hang', async () => {
  const { clock, accept } = setup({ save: never, add: never })
  const refused = assert.rejects(accept(registration, clock.now()), Unavailable)
  await clock.advance(649)
  assert.notEqual(clock.next, undefined)
  await clock.advance(1)
  await refused
})

test('saves a request that waited for this process itself for longer than it should', async () => {
  const { clock, saved, accept } = setup({
    save: () => new Promise<void>(resolve => clock.after(30, resolve)),
  })
  const answer = accept(registration, clock.now() - 800)
  await clock.advance(30)
  assert.equal(await answer, TOPIC)
  assert.equal(saved.length, 1)
})

test('does not try the store any more when those of two users have failed', async () => {
  const tried: string[] = []
  const { spooled, of, storeIsAway } = setup({
    save: async user => {
      tried.push(user)
      throw new Error('away')
    },
  })
  await storeIsAway()
  assert.equal(await of('three'), TOPIC)
  assert.deepEqual(tried, ['one', 'two'])
  assert.deepEqual(
    spooled.map(({ user }) => user),
    ['one', 'two', 'three'],
  )
})

test('registrations of one user that fail send no other user to the spool', async () => {
  const { log, saved, spooled, of } = setup({
    save: async user => {
      if (user === 'flood') throw new Error('too many at once')
    },
  })
  for (let i = 0; i < 50; i += 1) assert.equal(await of('flood'), TOPIC)
  assert.equal(await of('another'), TOPIC)
  assert.equal(await of('flood'), TOPIC)
  assert.deepEqual(
    saved.map(({ user }) => user),
    ['another'],
  )
  assert.equal(spooled.length, 51)
  assert.deepEqual(log.messages(), ['warn the store did not take a registration, it waits in the spool'])
  assert.deepEqual(log.entries[0]?.fields, { user: 'f***', reason: 'too many at once' })
})

test('any success of a save, the spool\u2019s too, makes the store present again', async () => {
  let away = true
  const { saved, spooled, outages, of, storeIsAway } = setup({
    save: () => (away ? fails() : Promise.resolve()),
  })
  await storeIsAway()
  away = false
  await of('three')
  assert.equal(saved.length, 0)
  await outages.watch('store', 'one', Promise.resolve())
  await of('four')
  assert.deepEqual(
    saved.map(({ user }) => user),
    ['four'],
  )
  assert.equal(spooled.length, 3)
})

test('tries the store after all when the spool is full', async () => {
  let away = true
  const { saved, of, storeIsAway } = setup({ save: () => (away ? fails() : Promise.resolve()), add: fails })
  await storeIsAway()
  away = false
  assert.equal(await of('three'), TOPIC)
  assert.equal(saved.length, 1)
})

test('a store that is away is tried once a second at most when the spool fails, too', async () => {
  let tries = 0
  const { clock, of, storeIsAway } = setup({
    save: () => {
      tries += 1
      return fails()
    },
    add: fails,
  })
  await storeIsAway()
  tries = 0
  for (let i = 0; i < 100; i += 1) {
    await assert.rejects(of(`user${i}`), Unavailable)
    await clock.advance(50)
  }
  assert.equal(tries, 5)
})

test('a store that takes a registration or fails after its time is up changes no answer', async () => {
  let settle: (error: Error) => void = () => undefined
  const { clock, accept } = setup({
    save: () => new Promise((_, reject) => (settle = reject)),
  })
  const answer = accept(registration, clock.now())
  await clock.advance(400)
  assert.equal(await answer, TOPIC)
  settle(new Error('too late'))
  await clock.advance(1)
})

for (const [what, topic] of [
  ['an empty topic', () => ''],
  ['a topic with a line break', () => `${TOPIC}\r\nOK`],
  [
    'no topic',
    () => {
      throw new Error('no certificate')
    },
  ],
] as const) {
  test(`refuses, and stores nothing, when there is ${what}`, async () => {
    const { clock, saved, spooled, accept } = setup({ topic })
    await assert.rejects(accept(registration, clock.now()), Unavailable)
    assert.deepEqual([...saved, ...spooled], [])
  })
}

test('logs where registrations go when that changes for all, always with a reason, and not for each of them', async () => {
  let store = true
  let spool = true
  const { clock, log, of } = setup({
    save: () => (store ? Promise.resolve() : fails()),
    add: () => (spool ? Promise.resolve() : Promise.reject(new Error('no space left'))),
  })
  const some = async () => {
    for (let i = 0; i < 6; i += 1) await of(`user${i % 3}`).catch(() => undefined)
  }
  await some()
  store = false
  await some()
  spool = false
  await some()
  store = true
  await clock.advance(1_000)
  await some()
  assert.deepEqual(
    log.entries.map(({ level, message, fields }) => `${level} ${message}: ${fields.reason ?? ''}`),
    [
      'warn the store did not take a registration, it waits in the spool: out of order',
      'warn the store does not take registrations, they wait in the spool: out of order',
      'error registrations are refused: neither store nor spool takes them: no space left',
      'notice registrations are saved in the store again: ',
    ],
  )
})

test('a store that comes and goes makes one line in minutes, with a count', async () => {
  let away = false
  const { clock, log, outages, of } = setup({ save: () => (away ? fails() : Promise.resolve()) })
  for (let change = 0; change < 40; change += 1) {
    away = !away
    for (const user of ['one', 'two']) await of(user)
    if (!away) await outages.watch('store', 'one', Promise.resolve())
    await clock.advance(6_000)
  }
  await clock.advance(300_000)
  const said = log.entries.filter(({ message }) => !message.includes('did not take'))
  assert.deepEqual(
    said.map(({ message, fields }) => [message, fields.changes]),
    [
      ['the store does not take registrations, they wait in the spool', undefined],
      ['registrations are saved in the store again', undefined],
      ['registrations are saved in the store again', 38],
    ],
  )
  assert.ok(log.entries.length - said.length <= 5, 'and one a minute for the users who met it')
})
