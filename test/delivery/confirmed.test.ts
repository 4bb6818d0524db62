import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  confirmedByDelivered,
  confirmedByQueueOk,
  type OutboundRecipient,
  type Transaction,
} from '../../plugins/xaps/delivery/confirmed.ts'

const recipient = (user: string, note?: string): OutboundRecipient => ({
  user,
  host: 'example.com',
  ...(note !== undefined && { dsn_smtp_response: note }),
})

const usersOf = (recipients: readonly { user: string }[]) => recipients.map(({ user }) => user)

describe('confirmedByDelivered', () => {
  test('takes the list of an SMTP delivery as it is', () => {
    const [alice, bob] = [recipient('alice'), recipient('bob')]
    assert.deepEqual(confirmedByDelivered('SMTP', [alice], [alice, bob], 'queued'), [alice])
  })

  test('takes the list of an LMTP delivery as it is when no recipient was refused', () => {
    const all = [recipient('alice'), recipient('bob')]
    assert.deepEqual(confirmedByDelivered('LMTP', all, all, 'OK'), all)
  })

  test('takes the names in the response when it has one for each accepted recipient', () => {
    const all = [recipient('full'), recipient('alice'), recipient('bob')]
    const [full, , bob] = all as [OutboundRecipient, OutboundRecipient, OutboundRecipient]
    const response = '<alice@example.com> x:1 Saved <bob@example.com> x:2 Saved'
    assert.deepEqual(usersOf(confirmedByDelivered('LMTP', [full, bob], all, response)), ['alice', 'bob'])
  })

  test('finds names in the response in any case, and with the quotes that Dovecot leaves out', () => {
    const all = [recipient('Alice'), recipient('"bob"'), recipient('full')]
    const response = '<alice@EXAMPLE.com> x:1 Saved <bob@example.com> x:2 Saved'
    assert.deepEqual(usersOf(confirmedByDelivered('LMTP', all.slice(1), all, response)), ['Alice', '"bob"'])
  })

  test('a name inside a longer one is not that name', () => {
    const all = [recipient('bob'), recipient('bobby'), recipient('full')]
    const response = '<bobby@example.com> x:2 Saved'
    assert.deepEqual(usersOf(confirmedByDelivered('LMTP', [recipient('full')], all, response)), ['bobby'])
  })

  // Haraka forgets the responses before a refusal, and notes the refusal on the first recipient: [alice, full].
  test('the last recipient refused after DATA: those whom no refusal names have got it', () => {
    const alice = recipient('alice', '<alice@example.com> x Saved <full@example.com> Quota exceeded')
    const full = recipient('full')
    assert.deepEqual(confirmedByDelivered('LMTP', [full], [alice, full], ''), [alice])
  })

  test('a recipient refused at RCPT and one refused after DATA are both left out', () => {
    const gone = recipient('gone', "<gone@example.com> User doesn't exist: gone@example.com")
    const alice = recipient('alice', '<alice@example.com> x Saved <full@example.com> Quota exceeded')
    const full = recipient('full')
    const bob = recipient('bob')
    const confirmed = confirmedByDelivered(
      'LMTP',
      [full, bob],
      [gone, alice, full, bob],
      '<bob@example.com> x Saved',
    )
    assert.deepEqual(confirmed, [alice, bob])
  })

  test('a server that names no recipient: all may have got it', () => {
    const all = [recipient('alice', 'mailbox full'), recipient('full')]
    assert.deepEqual(confirmedByDelivered('LMTP', [recipient('full')], all, ''), all)
  })

  test('refusals that cannot be right: everyone may have got it', () => {
    const all = [recipient('alice', '<bob@example.com> full'), recipient('bob', '<alice@example.com> full')]
    assert.deepEqual(confirmedByDelivered('LMTP', [recipient('bob')], all, ''), all)
  })
})

type Outcome = 'saved' | 'unknown' | 'full'

/**
 * The arguments that Haraka 3.3 hands to `delivered` when Dovecot treats its recipients so: recipients refused after DATA take
 * the first name off the list, and a refusal's note holds the words for those accepted just before it.
 */
function asHarakaTellsIt(outcomes: readonly Outcome[]) {
  const recipients = outcomes.map((outcome, index) => ({
    outcome,
    user: `user${index}`,
    host: 'example.com',
    note: '',
  }))
  const okRecips = recipients.filter(({ outcome }) => outcome !== 'unknown')
  let response: string[] = []
  for (const recipient of recipients) {
    const words = `<${recipient.user}@example.com> ${recipient.outcome}`
    if (recipient.outcome === 'unknown') recipient.note = words
    else response.push(words)
    if (recipient.outcome !== 'full') continue
    const noted = okRecips.shift()
    if (noted) noted.note = response.join(' ')
    response = []
  }
  const noted = recipients.map(({ note, ...rest }) => ({
    ...rest,
    ...(note !== '' && { dsn_smtp_response: note }),
  }))
  return { okRecips, recipients: noted, response: response.join(' ') }
}

test('whatever Dovecot refuses and in which order, exactly those it saved are confirmed', () => {
  const outcome = fc.constantFrom<Outcome>('saved', 'unknown', 'full')
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 12 }), outcomes => {
      const { okRecips, recipients, response } = asHarakaTellsIt(outcomes)
      const saved = recipients.filter(({ outcome }) => outcome === 'saved')
      assert.deepEqual(usersOf(confirmedByDelivered('LMTP', okRecips, recipients, response)), usersOf(saved))
    }),
  )
})

describe('confirmedByQueueOk', () => {
  const rcpt_to = [recipient('alice'), recipient('bob')]
  const transaction = (passed: Record<string, unknown[]>): Transaction => ({
    rcpt_to,
    results: { get: plugin => passed[plugin] && { pass: passed[plugin] } },
  })

  test('a mail forwarded by queue/smtp_forward has reached all its recipients', () => {
    const forwarded = {
      'queue/smtp_forward': ['2.0.0 Ok: queued as 4711'],
      queue: ['2.0.0 Ok: queued as 4711'],
    }
    assert.deepEqual(confirmedByQueueOk(transaction(forwarded)), rcpt_to)
  })

  test('so it has when the backend said OK without a word', () => {
    assert.deepEqual(confirmedByQueueOk(transaction({ 'queue/smtp_forward': ['rcpt_to', ''] })), rcpt_to)
  })

  test('what queue/smtp_forward notes at MAIL and RCPT is no delivery', () => {
    const checked = { 'queue/smtp_forward': ['mail_from', 'rcpt_to'], queue: ['Message Queued'] }
    assert.deepEqual(confirmedByQueueOk(transaction(checked)), [])
  })

  test('a mail queued for outbound is left to the hook that follows', () => {
    assert.deepEqual(confirmedByQueueOk(transaction({ outbound: ['queued'], queue: ['Message Queued'] })), [])
  })

  test('a discarded mail has reached no recipient', () => {
    assert.deepEqual(confirmedByQueueOk(transaction({ queue: ['Message Queued'] })), [])
  })
})
