import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseNotifyBody, parseRegisterBody } from '../../plugins/xaps/registration/json.ts'
import type { Request } from '../../plugins/xaps/registration/validate.ts'
import { notifyMembers, printBody, registerMembers } from './printer.ts'
import { anyNotify, anyRegister, notifyExample, registerExample, wireInput } from './requests.ts'

const notify = (body: string): Request => parseNotifyBody(Buffer.from(body, 'latin1'))
const register = (body: string): Request => parseRegisterBody(Buffer.from(body, 'latin1'))

const registered = (name: string) => parseRegisterBody(wireInput(`${name}.txt`))
const notified = (name: string) => parseNotifyBody(wireInput(`${name}.txt`))

for (const plugin of ['freswa', 'timlaing-24']) {
  test(`reads the recorded bodies: ${plugin}`, () => {
    assert.deepEqual(registered(`${plugin}-reg-basic`), registerExample)
    assert.deepEqual(registered(`${plugin}-reg-mb-mutf7`), {
      ...registerExample,
      mailboxes: ['INBOX', '&AOQ-', 'Entw&APw-rfe'],
    })
    assert.deepEqual(notified(`${plugin}-lmtp-basic`), notifyExample)
    assert.deepEqual(notified(`${plugin}-imap-append-Entw_x26APw_x2drfe`), {
      ...notifyExample,
      mailbox: 'Entwürfe',
      events: ['MessageAppend'],
    })
  })
}

test('reads what one plugin or one Dovecot alone has sent', () => {
  assert.deepEqual(notified('freswa-imap-store-flagged'), {
    ...notifyExample,
    events: ['FlagsClear', 'FlagsSet'],
  })
  assert.deepEqual(registered('timlaing-23-reg-basic'), registerExample)
  assert.deepEqual(registered('timlaing-24-user-utf8'), {
    ...registerExample,
    user: 'jürgen@example.org',
    mailboxes: ['INBOX'],
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
  ['a member twice: the last counts', `${FRONT.replace('INBOX', 'Notes')},"Mailbox":"INBOX"}`, noEvents],
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
  ['a body cut off inside quotes', '{"Username":"u', /not valid JSON/],
  ['a body cut off after a backslash', '{"Username":"u\\', /not valid JSON/],
  ['a second body', `${FRONT}}${FRONT}}`, /not valid JSON/],
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
  ['a name with an unknown escape', String.raw`${FRONT},"\x":1}`, /not valid JSON/],
  ['objects nested without end', '{"a":'.repeat(200_000), /not valid JSON/],
  ['lists nested without end', '['.repeat(1_000_000), /not valid JSON/],
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

test('output of the reference printer parses back', () => {
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

const MANY = 100_000

const heavy: readonly (readonly [what: string, extra: string])[] = [
  ['lists nested deep', `${'['.repeat(5 * MANY)}${']'.repeat(5 * MANY)}`],
  ['objects nested deep', `${'{"a":'.repeat(MANY)}1${'}'.repeat(MANY)}`],
  ['many members', `{${Array.from({ length: MANY }, (_, i) => `"${i.toString(36)}":1`).join()}}`],
  ['one long string of escapes', `"${'\\"'.repeat(5 * MANY)}"`],
]

for (const [what, extra] of heavy) {
  test(`survives, and reads in bounded time, a body of a megabyte: ${what}`, () => {
    const started = performance.now()
    assert.deepEqual(notify(`${FRONT},"Extra":${extra}}`), noEvents)
    const ms = performance.now() - started
    assert.ok(ms < 2_000, `${ms} ms`)
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
