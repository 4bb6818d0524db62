import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalMailbox, canonicalUser, isInbox } from '../../plugins/xaps/base/canonical-names.ts'

const mailboxes: readonly (readonly [why: string, name: string, canonical: string])[] = [
  ['an ASCII name stays', 'Sent Messages', 'Sent Messages'],
  ['the empty name stays', '', ''],
  ['modified UTF-7 is decoded', 'Entw&APw-rfe', 'Entwürfe'],
  ['a name that is one run is decoded', '&AOQ-', 'ä'],
  ['UTF-8 stays', 'Entwürfe', 'Entwürfe'],
  ['&- is an ampersand', 'Tom &- Jerry', 'Tom & Jerry'],
  ['a comma stands for base64’s slash', '~peter/mail/&U,BTFw-/&ZeVnLIqe-', '~peter/mail/台北/日本語'],
  ['a character beyond the BMP is two halves', '&2D3cDA-', '🐌'],
  ['a decoded name is decoded once', '&-APw-', '&APw-'],
  ['inbox in lower case', 'inbox', 'INBOX'],
  ['inbox in mixed case', 'InBox', 'INBOX'],
  ['a child of the inbox is another mailbox', 'inbox/Work', 'inbox/Work'],
  ['a dotless i makes no inbox', 'ınbox', 'ınbox'],
  ['composed and decomposed are one', 'Entwu\u0308rfe', 'Entwürfe'],
  ['decomposed in modified UTF-7 too', 'Entwu&Awg-rfe', 'Entwürfe'],
  ['a lone surrogate becomes U+FFFD', 'a\ud800b', 'a\ufffdb'],
  ['an ampersand at the end is no UTF-7', 'Tom &', 'Tom &'],
  ['an unfinished run is no UTF-7', 'Entw&APw', 'Entw&APw'],
  ['UTF-8 beside a run is no UTF-7', 'ü&APw-', 'ü&APw-'],
  ['base64 of no whole unit is no UTF-7', '&AP-', '&AP-'],
  ['base64 with bits left over is no UTF-7', '&APx-', '&APx-'],
  ['padded base64 is no UTF-7', '&APw=-', '&APw=-'],
  ['plain base64’s slash is no UTF-7', '&U/BTFw-', '&U/BTFw-'],
  ['encoded ASCII is no UTF-7', '&AEk-NBOX', '&AEk-NBOX'],
  ['an encoded line break stays encoded', '&AA0ACg-', '&AA0ACg-'],
  ['an encoded NUL stays encoded', 'a&AAA-', 'a&AAA-'],
  ['half a surrogate pair is no UTF-7', '&2D0-', '&2D0-'],
  ['two runs where one would do are no UTF-7', '&APw-&APw-', '&APw-&APw-'],
  ['a run and an ampersand are UTF-7', '&APw-&-', 'ü&'],
]

for (const [why, name, canonical] of mailboxes) {
  test(`mailbox names: ${why}`, () => {
    assert.equal(canonicalMailbox(name), canonical)
  })
}

test('isInbox knows the inbox in any case and nothing else', () => {
  for (const name of ['INBOX', 'inbox', 'iNbOx']) assert.equal(isInbox(name), true)
  for (const name of ['', 'INBOX\n', ' INBOX', 'INBOX/', 'INBOXES', 'ıNBOX'])
    assert.equal(isInbox(name), false)
})

test('user names lose their case only when told to', () => {
  assert.equal(canonicalUser('User@Example.ORG', { lowercase: true }), 'user@example.org')
  assert.equal(canonicalUser('User@Example.ORG', { lowercase: false }), 'User@Example.ORG')
  assert.equal(canonicalUser('a\ud800b', { lowercase: true }), 'a\ufffdb')
})

/** The same letter in another case or form to Unicode, and another name to Dovecot. */
const DIFFERENT: readonly (readonly [why: string, one: string, other: string])[] = [
  ['the Kelvin sign', '\u212aate@example.org', 'kate@example.org'],
  ['a long s', 'bo\u017fs@example.org', 'boss@example.org'],
  ['a dotted capital I', '\u0130da@example.org', 'ida@example.org'],
  ['a capital beyond ASCII', 'JÜRGEN@example.org', 'jürgen@example.org'],
  ['a decomposed letter', 'ju\u0308rgen@example.org', 'jürgen@example.org'],
  ['a compatibility character', '\ufb01nn@example.org', 'finn@example.org'],
]

for (const [why, one, other] of DIFFERENT) {
  test(`${why} makes another user, with lowercase and without`, () => {
    for (const lowercase of [true, false])
      assert.notEqual(canonicalUser(one, { lowercase }), canonicalUser(other, { lowercase }))
  })
}

test('with lowercase exactly the names that differ in nothing but ASCII’s case are one', () => {
  const names = fc.string({
    unit: fc.constantFrom('k', 'K', '\u212a', 's', 'S', 'ſ', 'é', 'É', 'e', '\u0301'),
  })
  const bytes = (name: string) => Buffer.from(name).map(byte => (byte > 64 && byte < 91 ? byte + 32 : byte))
  fc.assert(
    fc.property(names, names, (one, other) => {
      const same = canonicalUser(one, { lowercase: true }) === canonicalUser(other, { lowercase: true })
      assert.equal(same, Buffer.compare(bytes(one), bytes(other)) === 0)
    }),
  )
})

test('every text of modified UTF-7 decodes to what was encoded', () => {
  const texts = fc.string({ unit: 'binary' }).map(text => text.normalize('NFC').replace(/\p{Control}/gu, 'é'))
  fc.assert(
    fc.property(texts, text => {
      fc.pre(!isInbox(text) && /[^ -~]/.test(text))
      assert.equal(canonicalMailbox(encode(text)), text)
    }),
  )
})

test('every string has canonical forms, well-formed, the mailbox’s normal, and the user’s is its own', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), utf16), fc.boolean(), (name, lowercase) => {
      const user = canonicalUser(name, { lowercase })
      assert.equal(canonicalUser(user, { lowercase }), user)
      const mailbox = canonicalMailbox(name)
      assert.equal(mailbox, mailbox.normalize('NFC'))
      for (const text of [user, mailbox]) assert.equal(text, Buffer.from(text).toString())
    }),
    { numRuns: 2000 },
  )
})

test('a name of very many shifts is no more trouble than a short one', () => {
  assert.equal(canonicalMailbox('&-'.repeat(100_000)), '&'.repeat(100_000))
  assert.equal(canonicalMailbox('&'.repeat(100_000)).length, 100_000)
})

/** Strings with lone surrogates among them. */
const utf16 = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
  .map(units => String.fromCharCode(...units))

/** RFC 3501 5.1.3, the other way round. */
function encode(text: string): string {
  return text.replace(/&|[^ -~]+/g, run => (run === '&' ? '&-' : `&${base64(run)}-`))
}

function base64(text: string): string {
  return Buffer.from(text, 'utf16le').swap16().toString('base64').replaceAll('/', ',').replaceAll('=', '')
}
