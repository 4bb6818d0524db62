import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Unavailable } from '../../plugins/xaps/registration/refusal.ts'
import { makeRegister } from '../../plugins/xaps/registration/register.ts'
import type { SpoolEntry } from '../../plugins/xaps/registration/spool.ts'
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

function setup(parts: {
  save?: (entry: SpoolEntry) => Promise<unknown>
  add?: (entry: SpoolEntry) => Promise<void>
  topic?: () => string
}) {
  const clock = heldClock()
  const log = keptLog()
  const saved: SpoolEntry[] = []
  const spooled: SpoolEntry[] = []
  const spool = {
    size: 0,
    add: async (entry: SpoolEntry) => {
      await parts.add?.(entry)
      spooled.push(entry)
    },
  }
  const save = async (entry: SpoolEntry) => {
    await parts.save?.(entry)
    saved.push(entry)
  }
  const register = makeRegister({ save, spool, topic: parts.topic ?? (() => TOPIC), log }, clock)
  return { clock, log, saved, spooled, spool, register }
}

test('answers with the topic once the store has the registration, with the time at which it came', async () => {
  const { clock, saved, spooled, register } = setup({})
  assert.equal(await register(registration, clock.now()), TOPIC)
  assert.deepEqual(saved, [{ ...registration, topic: TOPIC, at: clock.now() }])
  assert.deepEqual(spooled, [])
})

test('spools a registration that the store refuses, and answers with the topic', async () => {
  const { clock, spooled, register } = setup({ save: fails })
  assert.equal(await register(registration, clock.now()), TOPIC)
  assert.deepEqual(spooled, [{ ...registration, topic: TOPIC, at: clock.now() }])
})

test('spools a registration that the store does not take within 400 ms of the request', async () => {
  const { clock, spooled, register } = setup({ save: never })
  const answer = register(registration, clock.now() - 100)
  await clock.advance(299)
  assert.equal(spooled.length, 0)
  await clock.advance(1)
  assert.equal(spooled.length, 1)
  assert.equal(await answer, TOPIC)
})

test('refuses with a text fit for the phone when neither store nor spool takes the registration', async () => {
  const { clock, register } = setup({ save: fails, add: fails })
  await assert.rejects(register(registration, clock.now()), {
    name: 'Unavailable',
    message: 'temporarily unavailable, try again',
  })
})

test('refuses 650 ms after the request when store and spool hang', async () => {
  const { clock, register } = setup({ save: never, add: never })
  const refused = assert.rejects(register(registration, clock.now()), Unavailable)
  await clock.advance(649)
  assert.notEqual(clock.next, undefined)
  await clock.advance(1)
  await refused
})

test('saves a request that waited for this process itself for longer than it should', async () => {
  const { clock, saved, register } = setup({
    save: () => new Promise<void>(resolve => clock.after(30, resolve)),
  })
  const answer = register(registration, clock.now() - 800)
  await clock.advance(30)
  assert.equal(await answer, TOPIC)
  assert.equal(saved.length, 1)
})

test('does not try the store while something waits in the spool', async () => {
  const { clock, saved, spooled, spool, register } = setup({})
  spool.size = 1
  assert.equal(await register(registration, clock.now()), TOPIC)
  assert.equal(saved.length, 0)
  assert.equal(spooled.length, 1)
})

test('tries the store after all when the spool is full', async () => {
  const { clock, saved, spool, register } = setup({ add: fails })
  spool.size = 1
  assert.equal(await register(registration, clock.now()), TOPIC)
  assert.equal(saved.length, 1)
})

test('a store that takes a registration or fails after its time is up troubles nobody', async () => {
  let settle: (error: Error) => void = () => undefined
  const { clock, register } = setup({
    save: () => new Promise((_, reject) => (settle = reject)),
  })
  const answer = register(registration, clock.now())
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
    const { clock, saved, spooled, register } = setup({ topic })
    await assert.rejects(register(registration, clock.now()), Unavailable)
    assert.deepEqual([...saved, ...spooled], [])
  })
}

test('logs where registrations go when that changes, and not for each of them', async () => {
  let store = true
  let spool = true
  const { clock, log, register } = setup({
    save: () => (store ? Promise.resolve() : fails()),
    add: () => (spool ? Promise.resolve() : fails()),
  })
  const twice = async () => {
    for (let i = 0; i < 2; i += 1) await register(registration, clock.now()).catch(() => undefined)
  }
  await twice()
  store = false
  await twice()
  spool = false
  await twice()
  store = true
  await twice()
  assert.deepEqual(log.messages(), [
    'warn the store does not take registrations, they wait in the spool',
    'error registrations are refused: neither store nor spool takes them',
    'notice registrations are saved in the store again',
  ])
})
