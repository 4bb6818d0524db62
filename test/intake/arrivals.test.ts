import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UNHEARD_FOR_MS } from '../../plugins/xaps/intake/arrivals.ts'
import { Intake } from '../../plugins/xaps/intake/intake.ts'
import { heldClock, keptLog } from '../registration/tools.ts'
import { turns } from '../support/fake-clock.ts'
import { idEvent, NO_PHONES, recordedBody } from './exporter.ts'

const ALICE = 'alice@example.org'
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const ON_ITS_OWN = { id_param_event: 'periodic' }

/** `lastPush`: how long ago a user was pushed; it may reject. */
function setup(lastPush: (user: string) => Promise<number | undefined> = async () => 800) {
  const clock = heldClock()
  const log = keptLog()
  const came: unknown[] = []
  const asked: string[] = []
  const from = clock.now()
  const parts = {
    ...NO_PHONES,
    notPushed: () => undefined,
    newMail: () => assert.fail('no mail has come'),
    userOf: async () => undefined,
    close: () => undefined,
    lastPush: (user: string) => {
      asked.push(user)
      return lastPush(user)
    },
    came: async (user: string, { at, ...after }: { readonly at: number }) =>
      void came.push({ user, at: at - from, ...after }),
  }
  const intake = new Intake({ lowercase: true }, parts, log, clock)
  const take = async (...texts: string[]) => {
    for (const text of texts) assert.equal(intake.take(text), undefined)
    await turns()
  }
  const warnings = () => log.entries.filter(({ level }) => level === 'warn')
  return { clock, log, came, asked, intake, take, warnings }
}

test('recorded from Dovecot 2.4: a phone that a push has brought is noted, with the time since the push', async () => {
  const { came, take } = setup()
  await take(recordedBody('24-http-id-before-login'), recordedBody('24-http-id-after-login'))
  assert.deepEqual(came, [{ user: ALICE, at: 0, afterMs: 800 }])
})

test('without a push that is remembered the time alone is noted; names fold as everywhere', async () => {
  const { came, take } = setup(async () => undefined)
  await take(idEvent({ user: 'ALICE@example.org' }))
  assert.deepEqual(came, [{ user: ALICE, at: 0 }])
})

test('the time counts from the arrival, however long the store takes; a push after it is not the one', async () => {
  let answer: (ms: number) => void = () => undefined
  const lastPush = () => new Promise<number>(resolve => (answer = resolve))
  for (const [ms, expected] of [
    [5_800, { user: ALICE, at: 0, afterMs: 800 }],
    [4_000, { user: ALICE, at: 0 }],
  ] as const) {
    const { clock, came, take } = setup(lastPush)
    await take(idEvent())
    await clock.advance(5_000)
    answer(ms)
    await turns()
    assert.deepEqual(came, [expected])
  }
})

test('of a user one arrival in a minute is noted, and none that no push has brought', async () => {
  const { clock, came, asked, take } = setup()
  await take(...Array(50).fill(idEvent()), ...Array(50).fill(idEvent(ON_ITS_OWN)))
  assert.equal(asked.length, 2)
  await clock.advance(MINUTE)
  await take(idEvent(), idEvent({ user: 'bob@example.org' }))
  assert.deepEqual(came, [
    { user: ALICE, at: 0, afterMs: 800 },
    { user: ALICE, at: MINUTE, afterMs: 800 },
    { user: 'bob@example.org', at: MINUTE, afterMs: 800 },
  ])
})

test('a store that is away costs nothing but the notes, and is asked ten at a time', async () => {
  const rejects: ((error: Error) => void)[] = []
  const { came, log, take, asked } = setup(() => new Promise((_, reject) => rejects.push(reject)))
  await take(...Array.from({ length: 25_000 }, (_, index) => idEvent({ user: `u${index}` })))
  assert.equal(asked.length, 10)
  while (rejects.length > 0) {
    for (const reject of rejects.splice(0)) reject(new Error('away'))
    await turns()
  }
  assert.equal(asked.length, 1_010)
  assert.deepEqual(came, [])
  assert.deepEqual([...new Set(log.messages())].slice(1), ['debug why a phone came is not noted'])
})

test('at the end what waits is let go', async () => {
  const { asked, intake, take } = setup(() => new Promise(() => undefined))
  await take(...Array.from({ length: 20 }, (_, index) => idEvent({ user: `u${index}` })))
  await intake.close()
  await take(idEvent())
  assert.equal(asked.length, 10)
})

/** Phones come every half hour for so long. */
async function comeFor(ms: number, site: ReturnType<typeof setup>, fields: Parameters<typeof idEvent>[0]) {
  for (let passed = 0; passed < ms; passed += HOUR / 2) {
    await site.take(idEvent(fields))
    await site.clock.advance(HOUR / 2)
  }
}

test('users who are pushed and come on their own account alone: one warning after hours, and one a day', async () => {
  const site = setup()
  await comeFor(UNHEARD_FOR_MS, site, ON_ITS_OWN)
  assert.deepEqual(site.warnings(), [])
  await comeFor(HOUR / 2, site, ON_ITS_OWN)
  const [warning] = site.warnings()
  assert.equal(
    warning?.message,
    'users are pushed and come, but for hours no phone has come because of a push',
  )
  assert.deepEqual(warning?.fields, { hours: 6 })
  await comeFor(23 * HOUR, site, ON_ITS_OWN)
  assert.equal(site.warnings().length, 1)
  await comeFor(2 * HOUR, site, ON_ITS_OWN)
  assert.equal(site.warnings().length, 2)
})

test('one phone that a push has brought, whoever its user is, begins the hours anew', async () => {
  const site = setup()
  for (let round = 0; round < 4; round += 1) {
    await comeFor(UNHEARD_FOR_MS, site, ON_ITS_OWN)
    await site.take(idEvent({ user: 'bob@example.org' }))
  }
  assert.deepEqual(site.warnings(), [])
})

const QUIET: readonly [what: string, fields: Parameters<typeof idEvent>[0], pushed: boolean][] = [
  ['users who are not pushed', ON_ITS_OWN, false],
  ['phones that do not say why they come', { id_param_event: undefined }, true],
  ['other mail programs', { id_param_name: 'Thunderbird' }, true],
]

for (const [what, fields, pushed] of QUIET) {
  test(`no warning because of ${what}`, async () => {
    const site = setup(async () => (pushed ? 800 : undefined))
    await comeFor(3 * UNHEARD_FOR_MS, site, fields)
    assert.deepEqual(site.warnings(), [])
  })
}

test('no warning where a phone came twice in a day just when its push was on its way', async () => {
  const site = setup()
  for (const ms of [0, MINUTE, MINUTE, UNHEARD_FOR_MS]) {
    await site.clock.advance(ms)
    await site.take(idEvent(ON_ITS_OWN))
  }
  assert.deepEqual(site.warnings(), [])
})
