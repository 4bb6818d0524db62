import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deliveries, SIEVE_SPEAKS_WITHIN_MS } from '../../plugins/xaps/intake/deliveries.ts'
import type { Decision } from '../../plugins/xaps/observe/decisions.ts'
import { heldClock } from '../registration/tools.ts'
import { deliveryIn, endEvent, sieveEvent } from './exporter.ts'

const ALICE = 'alice@example.org'

function setup() {
  const clock = heldClock()
  const pushed: { readonly user: string; readonly after: number }[] = []
  const decided: (Decision | 'pushed')[] = []
  const from = clock.now()
  const parts = {
    newMail: (user: string, at: number) => {
      pushed.push({ user, after: at - from })
      decided.push('pushed')
    },
    notPushed: (decision: Decision) => void decided.push(decision),
    userOf: async (typed: string) => (typed.startsWith('nobody') ? undefined : typed.toLowerCase()),
    close: () => undefined,
  }
  const deliveries = new Deliveries({ lowercase: true }, parts, clock)
  const take = (...texts: string[]) => {
    for (const text of texts) {
      const event = deliveryIn(text)
      if (event) deliveries.take(event)
    }
  }
  return { clock, pushed, decided, deliveries, take }
}

const ELSEWHERE = { action_name: 'fileinto', fileinto_mailbox_name: 'Lists' }
const DISCARD = { action_name: 'discard', fileinto_mailbox_name: undefined }
const REDIRECT = { action_name: 'redirect', fileinto_mailbox_name: undefined }

/** The events of one delivery in their order → pushes, and what was decided last. */
const ORDERS: readonly [what: string, events: string[], pushes: number, last: Decision][] = [
  ['kept', [sieveEvent()], 1, 'pushed'],
  ['kept, then its end', [sieveEvent(), endEvent()], 1, 'pushed'],
  ['its end, then kept', [endEvent(), sieveEvent()], 1, 'pushed'],
  ['filed elsewhere', [sieveEvent(ELSEWHERE)], 0, 'other_folder'],
  ['filed elsewhere, then its end', [sieveEvent(ELSEWHERE), endEvent()], 0, 'other_folder'],
  ['its end, then filed elsewhere', [endEvent(), sieveEvent(ELSEWHERE)], 0, 'other_folder'],
  ['its end, then discarded', [endEvent(), sieveEvent(DISCARD)], 0, 'discarded'],
  ['its end, then redirected', [endEvent(), sieveEvent(REDIRECT)], 0, 'redirected'],
  ['a copy elsewhere, its end, kept', [sieveEvent(ELSEWHERE), endEvent(), sieveEvent()], 1, 'pushed'],
  ['kept, its end, a copy elsewhere', [sieveEvent(), endEvent(), sieveEvent(ELSEWHERE)], 1, 'pushed'],
  ['each event twice', [endEvent(), endEvent(), sieveEvent(), sieveEvent(), endEvent()], 1, 'pushed'],
  ['its end without Sieve', [endEvent()], 1, 'pushed'],
  ['its end without Sieve, twice', [endEvent(), endEvent()], 1, 'pushed'],
  ['a delivery that failed', [endEvent({ error: 'Quota exceeded' })], 0, 'undelivered'],
]

for (const [what, events, pushes, last] of ORDERS) {
  test(`${what}: ${pushes} push`, async () => {
    const { clock, pushed, decided, take } = setup()
    take(...events)
    await clock.advance(SIEVE_SPEAKS_WITHIN_MS)
    take(...events)
    await clock.advance(2 * SIEVE_SPEAKS_WITHIN_MS)
    assert.deepEqual(pushed, Array(pushes).fill({ user: ALICE, after: 0 }))
    assert.equal(decided.at(-1), last)
  })
}

test("Sieve's word is pushed at once, a delivery without Sieve after a second", async () => {
  const { clock, pushed, take } = setup()
  take(sieveEvent(), endEvent({ session: 'another' }))
  assert.equal(pushed.length, 1)
  await clock.advance(SIEVE_SPEAKS_WITHIN_MS - 1)
  assert.equal(pushed.length, 1)
  await clock.advance(1)
  assert.equal(pushed.length, 2)
})

test('what was waiting to be read when the second was over is heard first', async () => {
  const { clock, pushed, take } = setup()
  take(endEvent())
  const over = clock.advance(SIEVE_SPEAKS_WITHIN_MS)
  setImmediate(() => take(sieveEvent(ELSEWHERE)))
  await over
  assert.deepEqual(pushed, [])
})

test('each recipient of a mail is a delivery of its own, and so is each event without a session', async () => {
  const { clock, pushed, take } = setup()
  take(sieveEvent(), sieveEvent({ session: 'qC3jKFfCBWtBLgAAg+zDdQ:R2', rcpt_to: 'alice+x@example.org' }))
  take(sieveEvent({ session: undefined }), endEvent({ session: undefined }))
  await clock.advance(SIEVE_SPEAKS_WITHIN_MS)
  assert.equal(pushed.length, 4)
})

test('user names fold as everywhere; a name that Dovecot does not know is pushed to nobody', async () => {
  const { clock, pushed, take } = setup()
  take(sieveEvent({ user: 'ALICE@example.org' }), endEvent({ session: 'b', user: 'nobody@example.org' }))
  await clock.advance(SIEVE_SPEAKS_WITHIN_MS)
  assert.deepEqual(
    pushed.map(({ user }) => user),
    [ALICE],
  )
})

test('a flood of deliveries without Sieve is bounded, and each is pushed', async () => {
  const { clock, pushed, take } = setup()
  for (let index = 0; index < 25_000; index += 1) take(endEvent({ session: `s${index}` }))
  assert.ok(clock.timers <= 10_000, String(clock.timers))
  await clock.advance(SIEVE_SPEAKS_WITHIN_MS)
  assert.equal(pushed.length, 25_000)
  assert.equal(clock.timers, 0)
})

test('an orderly end decides what waits', async () => {
  const { pushed, deliveries, take } = setup()
  take(endEvent())
  await deliveries.close()
  assert.equal(pushed.length, 1)
})
