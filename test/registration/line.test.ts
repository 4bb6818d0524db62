import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_REQUEST_BYTES } from '../../plugins/xaps/base/limits.ts'
import { parseLine } from '../../plugins/xaps/registration/line.ts'
import { BadRequest } from '../../plugins/xaps/registration/refusal.ts'
import type { Request } from '../../plugins/xaps/registration/validate.ts'
import { linePairs, printLine } from './printer.ts'
import {
  ACCOUNT,
  anyNotify,
  anyRegister,
  notifyExample,
  registerExample,
  TOKEN,
  wireInput,
} from './requests.ts'

const MEGABYTE = 1_000_000

const parse = (line: string): Request => parseLine(Buffer.from(line, 'latin1'))

const recorded: Readonly<Record<string, Request>> = {
  'st3fan-lmtp-basic.txt': notifyExample,
  'st3fan-reg-basic.txt': registerExample,
  'st3fan-reg-mb-comma.txt': { ...registerExample, mailboxes: ['INBOX', 'a,b', 'c","d'] },
  'st3fan-reg-mb-mutf7.txt': { ...registerExample, mailboxes: ['INBOX', '&AOQ-', 'Entw&APw-rfe'] },
  'st3fan-user-apostrophe.txt': { ...registerExample, user: "o'brien@example.org", mailboxes: ['INBOX'] },
}

for (const [file, request] of Object.entries(recorded)) {
  test(`reads the recorded line ${file}`, () => {
    assert.deepEqual(parseLine(wireInput(file)), request)
  })
}

test('prints the recorded lines back byte for byte', () => {
  for (const [file, request] of Object.entries(recorded)) {
    assert.equal(printLine(request).toString('latin1'), wireInput(file).toString('latin1'))
  }
})

const USER = 'dovecot-username="u@example.org"'
const MAILBOX = 'dovecot-mailbox="INBOX"'
const NOTIFY = `NOTIFY ${USER}\t${MAILBOX}`
const REGISTER_FRONT = `REGISTER aps-account-id="a"\taps-device-token="${TOKEN}"\taps-subtopic="s"\t${USER}`

test('a NOTIFY without events means new mail', () => {
  assert.deepEqual(parse(NOTIFY), { ...notifyExample, user: 'u@example.org' })
})

test('pairs come in any order', () => {
  assert.deepEqual(parse(`NOTIFY events=()\t${MAILBOX}\t${USER}`), {
    ...notifyExample,
    user: 'u@example.org',
    events: [],
  })
})

const lists: readonly (readonly [wire: string, items: readonly string[]])[] = [
  ['()', []],
  ['("")', ['']],
  ['("a","")', ['a', '']],
  ['("a,b",")","(")', ['a,b', ')', '(']],
  ['("tab\there")', ['tab\there']],
  [String.raw`("q\"b\\a\'")`, [`q"b\\a'`]],
  ['("\xff\xfeEntw\xc3\xbcrfe")', ['\ufffd\ufffdEntwürfe']],
]

for (const [wire, items] of lists) {
  test(`reads the list ${JSON.stringify(wire)}`, () => {
    const request = parse(`${REGISTER_FRONT}\tdovecot-mailboxes=${wire}`)
    assert.deepEqual(request.verb === 'REGISTER' && request.mailboxes, items)
  })
}

const broken: readonly (readonly [defect: string, line: string, message: RegExp])[] = [
  ['an empty line', '', /expected REGISTER or NOTIFY/],
  ['an unknown verb', `FORGET ${USER}`, /expected REGISTER or NOTIFY/],
  ['a verb in lower case', NOTIFY.replace('NOTIFY', 'notify'), /expected REGISTER or NOTIFY/],
  ['a verb that is a property of every object', `constructor ${USER}`, /expected REGISTER or NOTIFY/],
  ['a blank before the verb', ` ${NOTIFY}`, /expected REGISTER or NOTIFY/],
  ['a verb alone', 'NOTIFY', /one space after the verb/],
  ['a TAB after the verb', NOTIFY.replace(' ', '\t'), /one space after the verb/],
  ['two spaces after the verb', NOTIFY.replace(' ', '  '), /unknown key/],
  ['a space between pairs', NOTIFY.replace('\t', ' '), /a TAB between two pairs/],
  ['two TABs between pairs', NOTIFY.replace('\t', '\t\t'), /unknown key/],
  ['a TAB at the end', `${NOTIFY}\t`, /unknown key/],
  ['a space at the end', `${NOTIFY} `, /a TAB between two pairs/],
  ['bytes after a value', `${NOTIFY}x`, /a TAB between two pairs/],
  ['a second request after a value', `${NOTIFY}${NOTIFY}`, /a TAB between two pairs/],
  ['an unknown key', `${NOTIFY}\tdovecot-password="x"`, /unknown key/],
  ['a key of the other verb', `${NOTIFY}\taps-account-id="x"`, /unknown key/],
  ['a key that is a property of every object', `${NOTIFY}\ttoString="x"`, /unknown key/],
  ['a key in capitals', NOTIFY.replace('dovecot-u', 'DOVECOT-U'), /unknown key/],
  ['a string given twice', `${NOTIFY}\t${MAILBOX}`, /dovecot-mailbox is given twice/],
  ['a list given twice', `${NOTIFY}\tevents=()\tevents=()`, /events is given twice/],
  ['a user given twice', `${NOTIFY}\t${USER}`, /dovecot-username is given twice/],
  ['no user', `NOTIFY ${MAILBOX}`, /dovecot-username is missing/],
  ['no mailbox', `NOTIFY ${USER}`, /dovecot-mailbox is missing/],
  ['no mailboxes', REGISTER_FRONT, /dovecot-mailboxes is missing/],
  [
    'no account id',
    `REGISTER ${USER}\taps-device-token=""\taps-subtopic=""\tdovecot-mailboxes=()`,
    /aps-account-id is missing/,
  ],
  ['no equals sign', `NOTIFY dovecot-username"u"\t${MAILBOX}`, /"=" after a key/],
  ['a bare value', `NOTIFY dovecot-username=u\t${MAILBOX}`, /a quoted string/],
  ['no value', `NOTIFY dovecot-username=\t${MAILBOX}`, /a quoted string/],
  ['a value in apostrophes', `NOTIFY dovecot-username='u'\t${MAILBOX}`, /a quoted string/],
  ['a list for a string', `NOTIFY dovecot-username=("u")\t${MAILBOX}`, /a quoted string/],
  ['a string for a list', `${NOTIFY}\tevents="MessageNew"`, /"\(" before a list/],
  ['a list of bare words', `${NOTIFY}\tevents=(MessageNew)`, /a quoted string/],
  ['a list with a blank', `${NOTIFY}\tevents=("a", "b")`, /a quoted string/],
  ['a list with a comma at the end', `${NOTIFY}\tevents=("a",)`, /a quoted string/],
  ['a list without a comma', `${NOTIFY}\tevents=("a""b")`, /"," or "\)" in a list/],
  ['a list inside a list', `${NOTIFY}\tevents=(("a"))`, /a quoted string/],
  ['an open list', `${NOTIFY}\tevents=("a"`, /"," or "\)" in a list/],
  ['an open empty list', `${NOTIFY}\tevents=(`, /a quoted string/],
  ['an end inside quotes', `NOTIFY ${MAILBOX}\tdovecot-username="u`, /the line ends inside quotes/],
  ['an end inside the quotes of a list', `${NOTIFY}\tevents=("a`, /the line ends inside quotes/],
  ['an end after a backslash', `${NOTIFY}\tevents=("a\\`, /the line ends inside quotes/],
  ['an escaped closing quote', `${NOTIFY}\tevents=("a\\")`, /the line ends inside quotes/],
  ['an unknown escape', `${NOTIFY}\tevents=("a\\n")`, /unknown escape/],
  ['an escaped line break', `${NOTIFY}\tevents=("a\\\n")`, /CR, LF or NUL/],
  ['a CR inside quotes', `${NOTIFY}\tevents=("a\rb")`, /CR, LF or NUL/],
  ['an LF inside quotes', `${NOTIFY}\tevents=("a\nb")`, /CR, LF or NUL/],
  ['a NUL inside quotes', `${NOTIFY}\tevents=("a\0b")`, /CR, LF or NUL/],
  ['a CR at the end', `${NOTIFY}\r`, /a TAB between two pairs/],
  ['a NUL at the end', `${NOTIFY}\0`, /a TAB between two pairs/],
  ['a byte order mark', `\xef\xbb\xbf${NOTIFY}`, /expected REGISTER or NOTIFY/],
]

for (const [defect, line, message] of broken) {
  test(`refuses ${defect}`, () => {
    assert.throws(() => parse(line), { name: 'BadRequest', message })
  })
}

const INJECTED = `\r\n${NOTIFY}\r\nREGISTER `

const injections: readonly (readonly [where: string, line: Buffer])[] = [
  ['an account id', printLine({ ...registerExample, account: `${ACCOUNT}"${INJECTED}` })],
  ['a mailbox name', printLine({ ...registerExample, mailboxes: ['INBOX', INJECTED] })],
  ['a notified mailbox', printLine({ ...notifyExample, mailbox: INJECTED })],
]

for (const [where, line] of injections) {
  test(`refuses commands injected through ${where}, as a whole and up to the first line break`, () => {
    assert.throws(() => parseLine(line), BadRequest)
    assert.throws(() => parseLine(line.subarray(0, line.indexOf('\r\n'))), /the line ends inside quotes/)
  })
}

test('a quote in a value cannot close it: what follows stays in the value', () => {
  const account = '"\taps-device-token="ff"\tdovecot-username="victim@example.org'
  assert.deepEqual(parseLine(printLine({ ...registerExample, account })), { ...registerExample, account })
})

test('a refusal carries the user when Dovecot had named one before the fault', () => {
  const userOf = (line: string): string | undefined => refusalOf(() => parse(line)).user
  assert.equal(userOf(`${NOTIFY}\tevents=("a`), 'u@example.org')
  assert.equal(userOf(`NOTIFY ${MAILBOX}x`), undefined)
  assert.equal(userOf(`NOTIFY dovecot-username="${'u'.repeat(256)}"x`), undefined)
})

test('output of the reference printer parses back', () => {
  fc.assert(
    fc.property(fc.oneof(anyRegister, anyNotify), request => {
      assert.deepEqual(parseLine(printLine(request)), request)
    }),
  )
})

test('pairs parse back in every order', () => {
  const shuffled = fc.oneof(anyRegister, anyNotify).chain(request => {
    const pairs = linePairs(request)
    return fc.tuple(fc.constant(request), fc.shuffledSubarray(pairs, { minLength: pairs.length }))
  })
  fc.assert(
    fc.property(shuffled, ([request, pairs]) => {
      assert.deepEqual(parse(toLatin1(`${request.verb} ${pairs.join('\t')}`)), request)
    }),
  )
})

test('the largest request that validation accepts fits the limit', () => {
  const name = (index: number): string => `${index}`.padEnd(1000, '"')
  const mailboxes = Array.from({ length: 500 }, (_, index) => name(index))
  const line = printLine({ ...registerExample, account: '"'.repeat(128), user: "'".repeat(255), mailboxes })
  assert.ok(line.length + 2 <= MAX_REQUEST_BYTES)
})

/** A parser that reads a byte again and again would take minutes for them. */
for (const [what, line] of [
  ['one long value', `NOTIFY dovecot-username="${'a'.repeat(MEGABYTE)}"\t${MAILBOX}`],
  ['a value of escapes', `NOTIFY dovecot-username="${'\\"'.repeat(MEGABYTE / 2)}"\t${MAILBOX}`],
  ['a list of empty strings', `${NOTIFY}\tevents=(${'"",'.repeat(MEGABYTE / 3)}"")`],
  ['an open quote', `NOTIFY dovecot-username="${'a'.repeat(MEGABYTE)}`],
  ['an endless verb', 'A'.repeat(MEGABYTE)],
  ['an endless key', `NOTIFY ${'a'.repeat(MEGABYTE)}`],
  ['one pair again and again', `NOTIFY ${`${USER}\t`.repeat(MEGABYTE / USER.length)}`],
  ['nothing but backslashes', '\\'.repeat(MEGABYTE)],
] as const) {
  test(`reads in bounded time, or refuses, a line of a megabyte: ${what}`, () => {
    const bytes = Buffer.from(line)
    const started = performance.now()
    try {
      parseLine(bytes)
    } catch (error) {
      assert.ok(error instanceof BadRequest)
    }
    const ms = performance.now() - started
    assert.ok(ms < 2_000, `${ms} ms`)
  })
}

function toLatin1(text: string): string {
  return Buffer.from(text).toString('latin1')
}

function refusalOf(run: () => unknown): BadRequest {
  try {
    run()
  } catch (error) {
    if (error instanceof BadRequest) return error
    throw error
  }
  throw new Error('not refused')
}
