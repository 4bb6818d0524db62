import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BadEvent, type Fate, parseEvent } from '../../plugins/xaps/intake/exporter-event.ts'
import { endEvent, recordedBody, sieveEvent } from './exporter.ts'

const RECORDED: readonly [name: string, user: string | undefined, fate?: Fate][] = [
  ['23-http-keep', 'alice@example.org', 'inbox'],
  ['23-http-fileinto-utf8', 'alice@example.org', 'elsewhere'],
  ['24-http-detail', 'alice@example.org', 'elsewhere'],
  ['24-http-fileinto-1of2', 'alice@example.org', 'elsewhere'],
  ['24-http-discard', 'alice@example.org', 'discarded'],
  ['24-http-redirect', 'alice@example.org', 'redirected'],
  ['24-http-delivery-nosieve', 'alice@example.org', 'delivered'],
  ['24-http-id-before-login', undefined],
  ['24-http-id-after-login', undefined],
]

for (const [name, user, fate] of RECORDED) {
  test(`recorded from Dovecot, ${name}: ${fate ?? 'nothing of a delivery'}`, () => {
    const event = parseEvent(recordedBody(name))
    assert.deepEqual([event?.user, event?.fate], [user, fate])
  })
}

const FATES: readonly [fields: Parameters<typeof sieveEvent>[0], fate: Fate][] = [
  [{ fileinto_mailbox_name: 'Inbox', action_name: 'fileinto' }, 'inbox'],
  [{ fileinto_mailbox_name: 'inbox' }, 'inbox'],
  [{ fileinto_mailbox_name: undefined }, 'inbox'],
  [{ fileinto_mailbox_name: undefined, action_name: 'fileinto' }, 'elsewhere'],
  [{ fileinto_mailbox_name: 'INBOX/a', action_name: 'fileinto' }, 'elsewhere'],
  [{ fileinto_mailbox_name: ['INBOX'], action_name: 'fileinto' }, 'elsewhere'],
  [{ error: 'Quota exceeded' }, 'failed'],
  [{ action_name: 'vacation', fileinto_mailbox_name: undefined }, 'other'],
  [{ action_name: undefined }, 'other'],
]

for (const [fields, fate] of FATES) {
  test(`an action with ${JSON.stringify(fields)} is ${fate}`, () => {
    assert.equal(parseEvent(sieveEvent(fields))?.fate, fate)
  })
}

test('a delivery that failed is told, too, and is no new mail', () => {
  assert.equal(parseEvent(endEvent({ error: 'Quota exceeded (mailbox for user is full)' }))?.fate, 'failed')
})

test('events of one delivery to one recipient have the same name for it, others have not', () => {
  const delivery = (text: string) => parseEvent(text)?.delivery
  assert.equal(delivery(sieveEvent()), delivery(endEvent()))
  assert.notEqual(delivery(sieveEvent({ session: 'qC3jKFfCBWtBLgAAg+zDdQ:R2' })), delivery(endEvent()))
  assert.notEqual(delivery(sieveEvent({ rcpt_to: 'bob@example.org' })), delivery(endEvent()))
  for (const session of [undefined, '', 7]) assert.equal(delivery(sieveEvent({ session })), undefined)
  assert.ok((delivery(sieveEvent({ session: 'x'.repeat(60_000) })) ?? '').length < 1000)
})

const REFUSED: readonly [what: string, text: string, message: RegExp][] = [
  ['nothing', '', /not valid JSON/],
  ['half an event', sieveEvent().slice(0, 100), /not valid JSON/],
  ['a list', '[]', /not a JSON object/],
  ['null', 'null', /not a JSON object/],
  ['an object that is no event', '{}', /event is missing/],
  ['no fields', '{"event":"sieve_action_finished"}', /user is missing/],
  ['no user', sieveEvent({ user: undefined }), /user is missing/],
  ['an empty user', sieveEvent({ user: '' }), /user is missing/],
  ['a user that is a list', sieveEvent({ user: ['a'] }), /user is missing/],
  ['a user of 256 bytes', sieveEvent({ user: 'ü'.repeat(128) }), /longer than 255 bytes/],
  ['a line break in a user', sieveEvent({ user: 'a\nb' }), /control characters/],
  ['a line separator in a user', sieveEvent({ user: 'a\u2028b' }), /control characters/],
  ['a user that was no UTF-8', sieveEvent({ user: 'a\ufffd' }), /not valid UTF-8/],
  [
    'half a character in a user',
    '{"event":"mail_delivery_finished","fields":{"user":"\\ud800"}}',
    /not valid UTF-8/,
  ],
  [
    'a very long subject',
    sieveEvent({ message_subject: 'x'.repeat(64 * 1024) }),
    /longer than 65536 characters/,
  ],
]

for (const [what, text, message] of REFUSED)
  test(`refused: ${what}`, () => assert.throws(() => parseEvent(text), message))

/** Any text gives an event whose values keep their bounds, nothing, or a refusal that repeats none of it. */
function examine(text: string): void {
  try {
    const event = parseEvent(text)
    if (!event) return
    assert.match(event.user, /^[^\p{Control}\p{Surrogate}]+$/u)
    assert.ok(Buffer.byteLength(event.user) <= 255)
    assert.ok((event.delivery ?? '').length < 1000)
  } catch (error) {
    if (!(error instanceof BadEvent)) throw error
    assert.match(error.message, /^[ -~]{1,100}$/)
  }
}

test('no text whatever breaks the parser', () => {
  const name = fc.constantFrom('sieve_action_finished', 'mail_delivery_finished', 'imap_id_received')
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('INBOX', 'keep', 'fileinto'),
    fc.jsonValue(),
  )
  const names = ['user', 'session', 'rcpt_to', 'action_name', 'fileinto_mailbox_name', 'error', '__proto__']
  const fields = fc.dictionary(fc.constantFrom(...names), value)
  const event = fc.record({ event: fc.oneof(name, value), fields: fc.oneof(fields, value) })
  const cut = fc.tuple(
    event.map(made => JSON.stringify(made)),
    fc.nat(300),
  )
  fc.assert(
    fc.property(event, made => examine(JSON.stringify(made))),
    { numRuns: 3000 },
  )
  fc.assert(
    fc.property(cut, ([text, at]) => examine(text.slice(0, at) + text.slice(at + 1))),
    { numRuns: 3000 },
  )
  fc.assert(fc.property(fc.string({ unit: 'binary' }), examine), { numRuns: 1000 })
})
