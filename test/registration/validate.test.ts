import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BadRequest } from '../../plugins/xaps/registration/refusal.ts'
import {
  type NotifyRequest,
  type RegisterRequest,
  validateNotify,
  validateRegister,
} from '../../plugins/xaps/registration/validate.ts'
import { ACCOUNT, notifyExample, registerExample, TOKEN } from './requests.ts'

const rules = { subtopics: ['com.apple.mobilemail', 'com.apple.mail'], lowercase: true }

const registered = (change: Partial<RegisterRequest>) =>
  validateRegister({ ...registerExample, ...change }, rules)
const notified = (change: Partial<NotifyRequest>) => validateNotify({ ...notifyExample, ...change }, rules)

test('a registration of the usual kind passes as it is', () => {
  assert.deepEqual(registered({}), {
    user: 'user@example.org',
    account: ACCOUNT,
    token: TOKEN,
    mailboxes: ['INBOX', 'Notes', 'Sent Messages'],
    subtopic: 'com.apple.mobilemail',
  })
})

test('a notification of the usual kind passes as it is', () => {
  assert.deepEqual(notified({}), { user: 'user@example.org', mailbox: 'INBOX', events: ['MessageNew'] })
})

test('names come out canonical and the token in lower case', () => {
  const registration = registered({
    user: 'USER@example.org',
    token: 'AB'.repeat(32),
    mailboxes: ['inbox', 'Entw&APw-rfe', 'Entwürfe', 'INBOX'],
  })
  assert.equal(registration.user, 'user@example.org')
  assert.equal(registration.token, 'ab'.repeat(32))
  assert.deepEqual(registration.mailboxes, ['INBOX', 'Entwürfe'])
  assert.deepEqual(notified({ user: 'USER@example.org', mailbox: 'inBox' }), {
    user: 'user@example.org',
    mailbox: 'INBOX',
    events: ['MessageNew'],
  })
})

test('user names keep their case where lowercase is off', () => {
  const { user } = validateNotify({ ...notifyExample, user: 'User' }, { lowercase: false })
  assert.equal(user, 'User')
})

test('no mailbox, or one without a name, means INBOX', () => {
  assert.deepEqual(registered({ mailboxes: [] }).mailboxes, ['INBOX'])
  assert.deepEqual(registered({ mailboxes: [''] }).mailboxes, ['INBOX'])
  assert.deepEqual(registered({ mailboxes: ['', 'inbox'] }).mailboxes, ['INBOX'])
})

test('events without a name are none, unknown ones are kept', () => {
  assert.deepEqual(notified({ events: ['', 'SomethingNew'] }).events, ['SomethingNew'])
})

const limits: readonly (readonly [what: string, change: Partial<RegisterRequest>])[] = [
  ['an account id that is no UUID', { account: 'not a uuid: "\\</&' }],
  ['an account id of 128 bytes', { account: 'é'.repeat(64) }],
  ['a token of 32 digits', { token: 'a'.repeat(32) }],
  ['a token of 200 digits', { token: '0'.repeat(200) }],
  ['a user of 255 bytes', { user: 'u'.repeat(255) }],
  ['a user with a blank and quotes', { user: `o'brien "x"` }],
  ['another subtopic of the list', { subtopic: 'com.apple.mail' }],
  ['500 mailboxes', { mailboxes: Array.from({ length: 500 }, (_, index) => `m${index}`) }],
  ['a mailbox name of 1000 bytes', { mailboxes: ['ü'.repeat(500)] }],
  ['a TAB in a mailbox name', { mailboxes: ['a\tb'] }],
  ['invalid UTF-8 in a mailbox name', { mailboxes: ['Entw\ufffdrfe'] }],
]

for (const [what, change] of limits) {
  test(`accepts ${what}`, () => {
    assert.doesNotThrow(() => registered(change))
  })
}

const refused: readonly (readonly [defect: string, change: Partial<RegisterRequest>, message: RegExp])[] = [
  ['an empty account id', { account: '' }, /account id: empty/],
  ['an account id of 129 bytes', { account: 'a'.repeat(129) }, /account id: longer than 128 bytes/],
  ['an account id of 65 characters in 130 bytes', { account: 'é'.repeat(65) }, /longer than 128 bytes/],
  ['an account id that is not UTF-8', { account: 'a\ufffd' }, /account id: not valid UTF-8/],
  ['half a character in an account id', { account: 'a\ud800' }, /account id: not valid UTF-8/],
  ...['\0', '\t', '\r', '\n', '\x1b', '\x7f', '\x85', '\x9b', '\u2028', '\u2029'].map(
    control =>
      [
        `U+${control.charCodeAt(0).toString(16).padStart(4, '0')} in an account id`,
        { account: `a${control}b` },
        /account id: no control characters/,
      ] as const,
  ),
  ['an empty token', { token: '' }, /device token: .* 32 to 200/],
  ['a token of 30 digits', { token: 'a'.repeat(30) }, /device token/],
  ['a token of 33 digits', { token: 'a'.repeat(33) }, /device token/],
  ['a token of 202 digits', { token: 'a'.repeat(202) }, /device token/],
  ['a token with a letter that is no digit', { token: `${'a'.repeat(62)}zz` }, /device token/],
  ['a token with a path', { token: `../../${'a'.repeat(32)}` }, /device token/],
  ['a token with a percent escape', { token: `%zz${'a'.repeat(61)}` }, /device token/],
  ['a token with a line break at the end', { token: `${'a'.repeat(64)}\n` }, /device token/],
  ['a token with a blank', { token: ` ${'a'.repeat(63)}` }, /device token/],
  ['a token of full-width digits', { token: '\uff11'.repeat(64) }, /device token/],
  ['a subtopic that is not served', { subtopic: 'com.apple.calendar' }, /subtopic/],
  ['an empty subtopic', { subtopic: '' }, /subtopic/],
  ['a subtopic in capitals', { subtopic: 'COM.APPLE.MOBILEMAIL' }, /subtopic/],
  ['an empty user', { user: '' }, /user name: empty/],
  ['a user of 256 bytes', { user: 'u'.repeat(256) }, /user name: longer than 255 bytes/],
  ['a user with a line break', { user: 'a\r\nb' }, /user name: no control characters/],
  ['a user that is not UTF-8', { user: 'a\ufffd' }, /user name: not valid UTF-8/],
  ['501 mailboxes', { mailboxes: Array(501).fill('INBOX') }, /mailboxes: more than 500/],
  ['a mailbox name of 1001 bytes', { mailboxes: ['a'.repeat(1001)] }, /mailbox name: longer than 1000 bytes/],
  ['a CR in a mailbox name', { mailboxes: ['INBOX', 'a\rb'] }, /mailbox name: no CR, LF or NUL/],
  ['an LF in a mailbox name', { mailboxes: ['a\nb'] }, /mailbox name: no CR, LF or NUL/],
  ['a NUL in a mailbox name', { mailboxes: ['a\0b'] }, /mailbox name: no CR, LF or NUL/],
]

for (const [defect, change, message] of refused) {
  test(`refuses ${defect}`, () => {
    assert.throws(() => registered(change), { name: 'BadRequest', message })
  })
}

const refusedNotifications: readonly (readonly [string, Partial<NotifyRequest>, RegExp])[] = [
  ['without a user', { user: '' }, /user name: empty/],
  ['for a user of 256 bytes', { user: 'u'.repeat(256) }, /user name: longer than 255 bytes/],
  ['with a mailbox name of 1001 bytes', { mailbox: 'a'.repeat(1001) }, /mailbox name: longer than 1000/],
  ['with a line break in the mailbox name', { mailbox: 'a\r\nb' }, /mailbox name: no CR, LF or NUL/],
  ['with a line break in an event', { events: ['a\nb'] }, /event: no CR, LF or NUL/],
]

for (const [defect, change, message] of refusedNotifications) {
  test(`refuses a notification ${defect}`, () => {
    assert.throws(() => notified(change), { name: 'BadRequest', message })
  })
}

test('a refusal carries the user unless the user is what is wrong', () => {
  assert.equal(refusalOf({ token: 'x' }).user, 'user@example.org')
  assert.equal(refusalOf({ mailboxes: ['\n'] }).user, 'user@example.org')
  assert.equal(refusalOf({ user: '\n' }).user, undefined)
})

function refusalOf(change: Partial<RegisterRequest>): BadRequest {
  try {
    registered(change)
  } catch (error) {
    if (error instanceof BadRequest) return error
    throw error
  }
  throw new Error('not refused')
}
