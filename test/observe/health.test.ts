import assert from 'node:assert/strict'
import test from 'node:test'
import { healthOf } from '../../plugins/xaps/observe/health.ts'
import type { ProcessState } from '../../plugins/xaps/observe/overview.ts'

const NOW = 1_800_000_000_000
const DAY = 86_400_000

const processOf = (more: Partial<ProcessState>): ProcessState => ({
  process: 'worker1',
  pid: 1,
  startedAt: 0,
  pending: 0,
  apple: { acceptedAt: NOW - 12_000 },
  store: { up: true, since: 0 },
  ...more,
})

/** What is known → state, the beginning of the sentence, and since when. */
const CASES: readonly [
  what: string,
  more: Partial<ProcessState>,
  state: string,
  sentence: RegExp,
  since?: number,
][] = [
  ['all is well', {}, 'works', /^Push works: Apple accepted the last push 12 s ago$/],
  ['nothing yet', { apple: {} }, 'works', /^Ready: nothing has been pushed/],
  [
    'Apple away',
    { apple: { trouble: 'connection', troubleSince: 5, failure: 'no answer: ECONNREFUSED' } },
    'down',
    /^Apple cannot be reached; pushes wait: no answer: ECONNREFUSED$/,
    5,
  ],
  ['wrong topic', { apple: { trouble: 'setup', troubleSince: 6 } }, 'down', /^Apple refuses our pushes$/, 6],
  ['Apple busy', { apple: { trouble: 'busy', troubleSince: 7 } }, 'impaired', /^Apple asks to wait/, 7],
  [
    'store away',
    { store: { up: false, since: 8, failure: 'full' } },
    'down',
    /^The device store .* full$/,
    8,
  ],
  [
    'certificate ended',
    { apple: { certificateEnds: NOW - DAY, trouble: 'setup' } },
    'down',
    /has ended$/,
    NOW - DAY,
  ],
  ['certificate ends', { apple: { certificateEnds: NOW + 1.5 * DAY } }, 'impaired', /ends in 1 day$/],
  ['certificate is good', { apple: { certificateEnds: NOW + 14 * DAY } }, 'works', /^Ready/],
]

for (const [what, more, state, sentence, since] of CASES) {
  test(`${what}: ${state}, in one sentence, with a remedy where it does not work`, () => {
    const health = healthOf(
      { at: NOW, processes: [processOf({}), processOf(more)].slice(1), spooled: 0 },
      false,
    )
    assert.equal(health.state, state)
    assert.match(health.sentence, sentence)
    assert.equal(health.since, since)
    assert.equal(health.remedy === undefined, state === 'works')
  })
}

test('one process in trouble is enough', () => {
  const processes = [processOf({}), processOf({ apple: { trouble: 'connection' } })]
  assert.equal(healthOf({ at: NOW, processes, spooled: 0 }, false).state, 'down')
})

test('a spool that fills, workers that do not report, a store without devices', () => {
  const facts = { at: NOW, processes: [processOf({})], spooled: 0 }
  assert.match(healthOf({ ...facts, spooled: 3 }, false).sentence, /^3 registrations wait in the spool/)
  assert.match(healthOf(facts, true).sentence, /^No process of Haraka's/)
  const none = { day: 0, twoDays: 0, week: 0, longer: 0 }
  const devices = { countedAt: NOW, users: 0, devices: 0, lastSeen: none, otherTopic: 0 }
  assert.match(healthOf({ ...facts, devices }, false).sentence, /^Ready: no phone/)
})
