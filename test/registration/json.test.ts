import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseNotifyBody, parseRegisterBody } from '../../plugins/xaps/registration/json.ts'
import { BadRequest, type Request } from '../../plugins/xaps/registration/request.ts'
import { counted } from './counted.ts'
import { notifyMembers, printBody, registerMembers } from './printer.ts'
import { ACCOUNT, anyNotify, anyRegister, notifyExample, registerExample, wireInput } from './requests.ts'

const notify = (body: string): Request => parseNotifyBody(Buffer.from(body, 'latin1'))
const register = (body: string): Request => parseRegisterBody(Buffer.from(body, 'latin1'))

test('reads the recorded bodies', () => {
  assert.deepEqual(parseRegisterBody(wireInput('freswa-reg-basic.txt')), registerExample)
  assert.deepEqual(parseRegisterBody(wireInput('freswa-reg-mb-mutf7.txt')), {
    ...registerExample,
    mailboxes: ['INBOX', '&AOQ-', 'Entw&APw-rfe'],
  })
  assert.deepEqual(parseNotifyBody(wireInput('freswa-lmtp-basic.txt')), notifyExample)
  assert.deepEqual(parseNotifyBody(wireInput('freswa-imap-store-flagged.txt')), {
    ...notifyExample,
    events: ['FlagsClear', 'FlagsSet'],
  })
  assert.deepEqual(parseNotifyBody(wireInput('freswa-imap-append-Entw_x26APw_x2drfe.txt')), {
    ...notifyExample,
    mailbox: 'Entwürfe',
    events: ['MessageAppend'],
  })
})

const FRONT = '{"Username":"u@example.org","Mailbox":"INBOX"'
const noEvents = { ...notifyExample, user: 'u@example.org', events: [] }

const accepted: readonly (readonly [what: string, body: string, request: Request])[] = [
  ['no Events', `${FRONT}}`, noEvents],
  ['Events null', `${FRONT},"Events":null}`, noEvents],
  ['white space anywhere', ' {\r\n"Username" : "u@example.org" ,\t"Mailbox" :"INBOX" } \n', noEvents],
  ['unknown members, nested ones too', `${FRONT},"Extra":{"a":[1,{"b":null}],"Username":"x"}}`, noEvents],
  ['an unknown member named __proto__', `${FRONT},"__proto__":{"Events":["MessageNew"]}}`, noEvents],
  ['an unknown member named constructor', `${FRONT},"constructor":"x"}`, noEvents],
  ['a nested member twice', `${FRONT},"Extra":{"a":1,"a":2}}`, noEvents],
  ['structure inside strings', `${FRONT},"Extra":"\\"[{[{[{[{[{[{:,"}`, noEvents],
  [
    'escapes',
    String.raw`{"Username":"u\u0040example.org","Mailbox":"INBOX","Events":["\u004dessageNew"]}`,
    { ...noEvents, events: ['MessageNew'] },
  ],
  [
    'a byte that is no UTF-8 in a mailbox name',
    '{"Username":"u@example.org","Mailbox":"Entw\xfcrfe"}',
    { ...noEvents, mailbox: 'Entw\ufffdrfe' },
  ],
  [
    'names that every object has, as values',
    '{"Username":"__proto__","Mailbox":"constructor","Events":["toString"]}',
    { verb: 'NOTIFY', user: '__proto__', mailbox: 'constructor', events: ['toString'] },
  ],
]

for (const [what, body, request] of accepted) {
  test(`accepts ${what}`, () => {
    assert.deepEqual(notify(body), request)
  })
}

test('Mailboxes null is an empty list', () => {
  const body = JSON.stringify({ ...registerMembers(registerExample), Mailboxes: null })
  assert.deepEqual(register(body), { ...registerExample, mailboxes: [] })
})

const broken: readonly (readonly [defect: string, body: string, message: RegExp])[] = [
  ['an empty body', '', /not valid JSON/],
  ['a body that is no JSON', 'NOTIFY dovecot-username="u"', /not valid JSON/],
  ['a body cut off', FRONT, /not valid JSON/],
  ['a body cut off inside quotes', '{"Username":"u', /ends inside quotes/],
  ['a body cut off after a backslash', '{"Username":"u\\', /ends inside quotes/],
  ['a second body', `${FRONT}}${FRONT}}`, /not valid JSON|member twice/],
  ['bytes after the body', `${FRONT}}x`, /not valid JSON/],
  ['a comma at the end', `${FRONT},}`, /not valid JSON/],
  ['a comment', `${FRONT}/* */}`, /not valid JSON/],
  ['a raw line break inside quotes', '{"Username":"u\n","Mailbox":"INBOX"}', /not valid JSON/],
  ['a raw NUL inside quotes', '{"Username":"u\0","Mailbox":"INBOX"}', /not valid JSON/],
  ['an unknown escape', String.raw`{"Username":"u\x","Mailbox":"INBOX"}`, /not valid JSON/],
  ['a byte order mark', `\xef\xbb\xbf${FRONT}}`, /not valid JSON/],
  ['UTF-16', Buffer.from(`${FRONT}}`, 'utf16le').toString('latin1'), /not valid JSON/],
  ['null', 'null', /not a JSON object/],
  ['a string', '"Username"', /not a JSON object/],
  ['a number', '1', /not a JSON object/],
  ['a list', `[${FRONT}}]`, /not a JSON object/],
  ['an empty object', '{}', /Username is missing/],
  ['no mailbox', '{"Username":"u"}', /Mailbox is missing/],
  ['names in lower case', FRONT.toLowerCase().concat('}'), /Username is missing/],
  ['a user that is a number', '{"Username":1,"Mailbox":"INBOX"}', /Username is missing or not a string/],
  ['a user that is null', '{"Username":null,"Mailbox":"INBOX"}', /Username is missing or not a string/],
  ['a user that is a list', '{"Username":["u"],"Mailbox":"INBOX"}', /Username is missing or not a string/],
  ['a user in the prototype only', '{"__proto__":{"Username":"u"},"Mailbox":"INBOX"}', /Username is missing/],
  ['events that are a string', `${FRONT},"Events":"MessageNew"}`, /Events is missing or not a list/],
  ['events that are an object', `${FRONT},"Events":{"length":0}}`, /Events is missing or not a list/],
  ['an event that is a number', `${FRONT},"Events":[1]}`, /Events is missing or not a list/],
  ['a member twice', `${FRONT},"Mailbox":"INBOX"}`, /a member twice/],
  ['an unknown member twice', `${FRONT},"x":1,"x":1}`, /a member twice/],
  ['a member twice, once in escapes', String.raw`${FRONT},"\u0055sername":"v"}`, /a member twice/],
  ['__proto__ twice', `${FRONT},"__proto__":1,"__proto__":1}`, /a member twice/],
  [
    '65 members',
    `{${Array.from({ length: 65 }, (_, index) => `"${index}":1`).join()}}`,
    /more than 64 members/,
  ],
  ['a name with an unknown escape', String.raw`${FRONT},"\x":1}`, /not valid JSON/],
  ['lists nested too deep', `${FRONT},"x":${'['.repeat(8)}${']'.repeat(8)}}`, /nested deeper than 8 levels/],
  ['objects nested without end', '{"a":'.repeat(100_000), /nested deeper than 8 levels/],
  ['lists nested without end', '['.repeat(1_000_000), /nested deeper than 8 levels/],
]

for (const [defect, body, message] of broken) {
  test(`refuses ${defect}`, () => {
    assert.throws(() => notify(body), { name: 'BadRequest', message })
  })
}

for (const name of Object.keys(registerMembers(registerExample))) {
  test(`refuses a registration without ${name}`, () => {
    const { [name]: _, ...rest } = registerMembers(registerExample)
    assert.throws(() => register(JSON.stringify(rest)), new RegExp(`^BadRequest: ${name} is missing`))
  })
}

test('a refusal carries the user when the body names one', () => {
  assert.throws(() => notify('{"Username":"u@example.org"}'), { name: 'BadRequest', user: 'u@example.org' })
  assert.throws(() => notify('{"Mailbox":"INBOX"}'), { name: 'BadRequest', user: undefined })
})

test('what the reference printer prints parses back', () => {
  fc.assert(
    fc.property(anyRegister, anyNotify, (registration, notification) => {
      assert.deepEqual(parseRegisterBody(printBody(registration)), registration)
      assert.deepEqual(parseNotifyBody(printBody(notification)), notification)
    }),
  )
})

test('members parse back in every order, with every character escaped', () => {
  const members = anyNotify.chain(request => {
    const entries = Object.entries(notifyMembers(request))
    return fc.tuple(fc.constant(request), fc.shuffledSubarray(entries, { minLength: entries.length }))
  })
  fc.assert(
    fc.property(members, ([request, entries]) => {
      assert.deepEqual(notify(escaped(Object.fromEntries(entries))), request)
    }),
  )
})

test('whatever JSON.parse takes as an object without doubles, the scan before it takes too', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 20 }), extra => {
      const members = { ...extra, ...notifyMembers(notifyExample) }
      assert.deepEqual(notify(JSON.stringify(members).replace(/[^ -~]/g, unicodeEscape)), notifyExample)
    }),
  )
})

const heavy: readonly (readonly [what: string, body: string])[] = [
  ['one long string', `{"Username":"${'a'.repeat(100_000)}"}`],
  ['a string of escapes', `{"Username":"${'\\"'.repeat(50_000)}"}`],
  ['many members', `{${Array.from({ length: 10_000 }, (_, i) => `"${i}":1`).join()}}`],
  ['a long list', `{"Events":[${'"",'.repeat(33_000)}""]}`],
  ['nothing but colons', `{"${ACCOUNT}"${':'.repeat(100_000)}`],
  ['a long name and many colons', `{"${'a'.repeat(50_000)}"${':'.repeat(50_000)}`],
  ['nothing but backslashes', `"${'\\'.repeat(100_000)}`],
]

for (const [what, body] of heavy) {
  test(`reads each byte a few times at most: ${what}`, () => {
    const { bytes, work } = counted(Buffer.from(body))
    try {
      parseNotifyBody(bytes)
    } catch (error) {
      assert.ok(error instanceof BadRequest)
    }
    assert.ok(work() <= 12 * body.length + 1000, `${work()} steps for ${body.length} bytes`)
  })
}

/** JSON in which each character of each string is a \u escape. */
function escaped(value: unknown): string {
  return JSON.stringify(value, null, 1).replace(/"(?:[^"\\]|\\.)*"/g, literal => {
    const text: string = JSON.parse(literal)
    return `"${text.split('').map(unicodeEscape).join('')}"`
  })
}

function unicodeEscape(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}
