import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BadEvent, type Fate, parseEvent } from '../../plugins/xaps/intake/exporter-event.ts'
import { arrivalIn, deliveryIn, endEvent, idEvent, recordedBody, sieveEvent } from './exporter.ts'

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
    const event = deliveryIn(recordedBody(name))
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
    assert.equal(deliveryIn(sieveEvent(fields))?.fate, fate)
  })
}

test('a delivery that failed is told, too, and is no new mail', () => {
  assert.equal(deliveryIn(endEvent({ error: 'Quota exceeded (mailbox for user is full)' }))?.fate, 'failed')
})

test('events of one delivery to one recipient have the same name for it, others have not', () => {
  const delivery = (text: string) => deliveryIn(text)?.delivery
  assert.equal(delivery(sieveEvent()), delivery(endEvent()))
  assert.notEqual(delivery(sieveEvent({ session: 'qC3jKFfCBWtBLgAAg+zDdQ:R2' })), delivery(endEvent()))
  assert.notEqual(delivery(sieveEvent({ rcpt_to: 'bob@example.org' })), delivery(endEvent()))
  for (const session of [undefined, '', 7]) assert.equal(delivery(sieveEvent({ session })), undefined)
  assert.ok((delivery(sieveEvent({ session: 'x'.repeat(60_000) })) ?? '').length < 1000)
})

test('recorded from Dovecot 2.4: the ID after the login says that a push brought the phone, the one before it of nobody', () => {
  assert.deepEqual(parseEvent(recordedBody('24-http-id-after-login')), {
    name: 'imap_id_received',
    user: 'alice@example.org',
    byPush: true,
  })
  assert.equal(parseEvent(recordedBody('24-http-id-before-login')), undefined)
})

/** Fields of an ID → whether a push brought the phone; undefined where it does not say why it comes. */
const IDS: readonly [fields: Parameters<typeof idEvent>[0], byPush: boolean | undefined][] = [
  [{ id_param_event: 'push' }, true],
  [{ id_param_event: 'push, periodic' }, true],
  [{ id_param_event: 'periodic' }, false],
  [{ id_param_event: 'pushed' }, false],
  [{ id_param_event: 'NIL' }, false],
  [{ id_param_event: undefined }, undefined],
  [{ id_param_event: ['push'] }, undefined],
  [{ id_param_name: 'Thunderbird' }, undefined],
  [{ id_param_name: undefined }, undefined],
  [{ user: undefined }, undefined],
]

for (const [fields, byPush] of IDS) {
  test(`an ID with ${JSON.stringify(fields)}: ${byPush}`, () =>
    assert.equal(arrivalIn(idEvent(fields))?.byPush, byPush))
}

const REFUSED: readonly [what: string, text: string, message: RegExp][] = [
  ['nothing', '', /not valid JSON/],
  ['half an event', sieveEvent().slice(0, 100), /not valid JSON/],
  ['a list', '[]', /not a JSON object/],
  ['null', 'null', /not a JSON object/],
  ['an object that is no event', '{}', /event is missing/],
  ['no fields', '{"event":"sieve_action_finished"}', /user is missing/],
  ['no user', sieveEvent({ user: undefined }), /user is missing/],
  ['an ID with an empty user', idEvent({ user: '' }), /user is missing/],
  ['an ID with a line break in a user', idEvent({ user: 'a\nb' }), /control characters/],
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
    if ('delivery' in event) assert.ok((event.delivery ?? '').length < 1000)
  } catch (error) {
    if (!(error instanceof BadEvent)) throw error
    assert.match(error.message, /^[ -~]{1,100}$/)
  }
}

test('no text whatever breaks the parser', () => {
  const name = fc.constantFrom('sieve_action_finished', 'mail_delivery_finished', 'imap_id_received')
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('INBOX', 'keep', 'fileinto', 'com.apple.email.maild', 'periodic,push'),
    fc.jsonValue(),
  )
  const ofMail = ['user', 'session', 'rcpt_to', 'action_name', 'fileinto_mailbox_name', 'error', '__proto__']
  const names = [...ofMail, 'id_param_name', 'id_param_event']
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
