import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Mode } from '../../plugins/xaps/delivery/address.ts'
import {
  confirmedByDelivered,
  confirmedByQueueOk,
  type OutboundRecipient,
} from '../../plugins/xaps/delivery/confirmed.ts'

const recipient = (user: string, note?: string): OutboundRecipient => ({
  user,
  host: 'example.com',
  ...(note !== undefined && { dsn_smtp_response: note }),
})

type Notes = Readonly<Record<string, string>>

/** Whom a `delivered` hook confirms of the recipients `all`, when Haraka calls those in `ok` accepted. Names are words. */
function confirmed(all: string, ok: string, response = '', notes: Notes = {}, mode: Mode = 'LMTP'): string {
  const recipients = all.split(' ').map(user => recipient(user, notes[user]))
  const accepted = recipients.filter(({ user }) => ok.split(' ').includes(user))
  return confirmedByDelivered(mode, accepted, recipients, response)
    .map(({ user }) => user)
    .join(' ')
}

const SAVED = '<alice@EXAMPLE.com> x:1 Saved <bob@example.com> x:2 Saved'
const REFUSED = '<alice@example.com> x Saved <full@example.com> Quota exceeded'

test('takes the list of an SMTP delivery as it is, and of an LMTP delivery where none was refused', () => {
  assert.equal(confirmed('alice bob', 'alice', 'queued', {}, 'SMTP'), 'alice')
  assert.equal(confirmed('alice bob', 'alice bob', 'OK'), 'alice bob')
})

test('takes the names in the response when it has one for each accepted recipient', () => {
  assert.equal(confirmed('full alice bob', 'full bob', SAVED), 'alice bob')
})

test('finds names in the response in any case, and with the quotes that Dovecot leaves out', () => {
  assert.equal(confirmed('Alice "bob" full', '"bob" full', SAVED), 'Alice "bob"')
})

test('a name inside a longer one is not that name', () => {
  assert.equal(confirmed('bob bobby full', 'full', '<bobby@example.com> x:2 Saved'), 'bobby')
})

// Haraka forgets the responses before a refusal, and notes the refusal on the first recipient.
test('the last recipient refused after DATA: those whom no refusal names have got it', () => {
  assert.equal(confirmed('alice full', 'full', '', { alice: REFUSED }), 'alice')
})

test('a recipient refused at RCPT and one refused after DATA are both left out', () => {
  const notes = { gone: "<gone@example.com> User doesn't exist: gone@example.com", alice: REFUSED }
  assert.equal(confirmed('gone alice full bob', 'full bob', '<bob@example.com> x Saved', notes), 'alice bob')
})

test('a server that names no recipient, and refusals that cannot be right: all may have got it', () => {
  assert.equal(confirmed('alice full', 'full', '', { alice: 'mailbox full' }), 'alice full')
  const crossed = { alice: '<bob@example.com> full', bob: '<alice@example.com> full' }
  assert.equal(confirmed('alice bob', 'bob', '', crossed), 'alice bob')
})

type Outcome = 'saved' | 'unknown' | 'full'

/**
 * The arguments that Haraka 3.3 hands to `delivered` when Dovecot treats its recipients so: recipients refused after DATA take
 * the first name off the list, and a refusal's note holds the words for those accepted just before it.
 */
function asHarakaTellsIt(outcomes: readonly Outcome[]) {
  const notes: (string | undefined)[] = outcomes.map(() => undefined)
  const accepted = [...outcomes.keys()].filter(index => outcomes[index] !== 'unknown')
  let response: string[] = []
  for (const [index, outcome] of outcomes.entries()) {
    const words = `<user${index}@example.com> ${outcome}`
    if (outcome === 'unknown') notes[index] = words
    else response.push(words)
    if (outcome !== 'full') continue
    notes[accepted.shift() ?? 0] = response.join(' ')
    response = []
  }
  const recipients = outcomes.map((_, index) => recipient(`user${index}`, notes[index]))
  const okRecips = recipients.filter((_, index) => accepted.includes(index))
  return { okRecips, recipients, response: response.join(' ') }
}

test('whatever Dovecot refuses and in which order, exactly those it saved are confirmed', () => {
  const outcome = fc.constantFrom<Outcome>('saved', 'unknown', 'full')
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 12 }), outcomes => {
      const { okRecips, recipients, response } = asHarakaTellsIt(outcomes)
      const saved = recipients.filter((_, index) => outcomes[index] === 'saved')
      assert.deepEqual(confirmedByDelivered('LMTP', okRecips, recipients, response), saved)
    }),
  )
})

/** Whether a `queue_ok` hook confirms the recipients, all of them or none, by what plugins passed. */
function isForwarded(passed: Readonly<Record<string, unknown[]>>): boolean {
  const rcpt_to = [recipient('alice'), recipient('bob')]
  const results = { get: (plugin: string) => passed[plugin] && { pass: passed[plugin] } }
  const found = confirmedByQueueOk({ rcpt_to, results })
  assert.deepEqual(found, found.length > 0 ? rcpt_to : [])
  return found.length > 0
}

test('a mail forwarded by queue/smtp_forward has reached all its recipients, also by an OK without a word', () => {
  const words = ['2.0.0 Ok: queued as 4711']
  assert.equal(isForwarded({ 'queue/smtp_forward': words, queue: words }), true)
  assert.equal(isForwarded({ 'queue/smtp_forward': ['rcpt_to', ''] }), true)
})

test('what queue/smtp_forward notes at MAIL and RCPT is no delivery', () => {
  const passed = { 'queue/smtp_forward': ['mail_from', 'rcpt_to'], queue: ['Message Queued'] }
  assert.equal(isForwarded(passed), false)
})

test('a mail queued for outbound is left to the hook that follows, and a discarded one has reached no recipient', () => {
  assert.equal(isForwarded({ outbound: ['queued'], queue: ['Message Queued'] }), false)
  assert.equal(isForwarded({ queue: ['Message Queued'] }), false)
})
