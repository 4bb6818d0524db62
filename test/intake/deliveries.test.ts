import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deliveries, SIEVE_SPEAKS_WITHIN_MS } from '../../plugins/xaps/intake/deliveries.ts'
import { heldClock } from '../registration/tools.ts'
import { deliveryIn, endEvent, sieveEvent } from './exporter.ts'

const ALICE = 'alice@example.org'

function setup() {
  const clock = heldClock()
  const pushed: { readonly user: string; readonly after: number }[] = []
  const from = clock.now()
  const parts = {
    newMail: (user: string, at: number) => void pushed.push({ user, after: at - from }),
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
  return { clock, pushed, deliveries, take }
}

const ELSEWHERE = { action_name: 'fileinto', fileinto_mailbox_name: 'Lists' }
const DISCARD = { action_name: 'discard', fileinto_mailbox_name: undefined }
const REDIRECT = { action_name: 'redirect', fileinto_mailbox_name: undefined }

/** The events of one delivery in their order → pushes, and what is known of it afterwards. */
const ORDERS: readonly [what: string, events: string[], pushes: number, fate: string][] = [
  ['kept', [sieveEvent()], 1, 'inbox'],
  ['kept, then its end', [sieveEvent(), endEvent()], 1, 'inbox'],
  ['its end, then kept', [endEvent(), sieveEvent()], 1, 'inbox'],
  ['filed elsewhere', [sieveEvent(ELSEWHERE)], 0, 'elsewhere'],
  ['filed elsewhere, then its end', [sieveEvent(ELSEWHERE), endEvent()], 0, 'elsewhere'],
  ['its end, then filed elsewhere', [endEvent(), sieveEvent(ELSEWHERE)], 0, 'elsewhere'],
  ['its end, then discarded', [endEvent(), sieveEvent(DISCARD)], 0, 'discarded'],
  ['its end, then redirected', [endEvent(), sieveEvent(REDIRECT)], 0, 'redirected'],
  ['a copy elsewhere, its end, kept', [sieveEvent(ELSEWHERE), endEvent(), sieveEvent()], 1, 'inbox'],
  ['kept, its end, a copy elsewhere', [sieveEvent(), endEvent(), sieveEvent(ELSEWHERE)], 1, 'inbox'],
  ['each event twice', [endEvent(), endEvent(), sieveEvent(), sieveEvent(), endEvent()], 1, 'inbox'],
  ['its end without Sieve', [endEvent()], 1, 'delivered'],
  ['its end without Sieve, twice', [endEvent(), endEvent()], 1, 'delivered'],
  ['a delivery that failed', [endEvent({ error: 'Quota exceeded' })], 0, 'failed'],
]

for (const [what, events, pushes, fate] of ORDERS) {
  test(`${what}: ${pushes} push`, async () => {
    const { clock, pushed, deliveries, take } = setup()
    take(...events)
    await clock.advance(SIEVE_SPEAKS_WITHIN_MS)
    take(...events)
    await clock.advance(2 * SIEVE_SPEAKS_WITHIN_MS)
    assert.deepEqual(pushed, Array(pushes).fill({ user: ALICE, after: 0 }))
    assert.equal(deliveries.lastEventOf(ALICE)?.fate, fate)
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
