/**
 * The rules for values, the same for both protocols: a parsed request → what may go into the store. Knows no wire
 * format. An IMAP user chooses token, account id, subtopic and mailbox names; only the user name is Dovecot's word.
 */

import { canonicalMailbox, canonicalUser } from '../base/canonical-names.ts'
import {
  CONTROL,
  LINE_BREAK,
  MAX_ACCOUNT_BYTES,
  MAX_MAILBOX_BYTES,
  MAX_MAILBOXES,
  MAX_USER_BYTES,
  NOT_UTF8,
  TOKEN,
} from '../base/limits.ts'
import { BadRequest } from './refusal.ts'

/** A phone wants to be pushed. Values are as on the wire. */
export interface RegisterRequest {
  readonly verb: 'REGISTER'
  readonly account: string
  readonly token: string
  readonly subtopic: string
  readonly user: string
  readonly mailboxes: readonly string[]
}

/** Something happened in a mailbox. Values are as on the wire. */
export interface NotifyRequest {
  readonly verb: 'NOTIFY'
  readonly user: string
  readonly mailbox: string
  readonly events: readonly string[]
}

export type Request = RegisterRequest | NotifyRequest

export interface NotifyRules {
  /** Whether ASCII's capitals in user names count as lower case. */
  readonly lowercase: boolean
}

export interface RegisterRules extends NotifyRules {
  /** The values of `aps-subtopic` that are served. */
  readonly subtopics: readonly string[]
}

/** A registration fit for the store, but for its topic and time. */
export interface ValidRegister {
  /** Canonical, at most 255 bytes. */
  readonly user: string
  /** Opaque, as it came; 1 to 128 bytes without control characters. */
  readonly account: string
  /** Hex, lower case, 32 to 200 digits. */
  readonly token: string
  /** Canonical, each once, 1 to 500. */
  readonly mailboxes: readonly string[]
  readonly subtopic: string
}

/** A notification as the rest of the program reads it. */
export interface Notification {
  /** Canonical, at most 255 bytes. */
  readonly user: string
  /** Canonical. */
  readonly mailbox: string
  /** Dovecot's names for what happened, known or not. */
  readonly events: readonly string[]
}

/** Throws BadRequest; the message names the value and its bound. No mailbox at all, or `""`, means INBOX. */
export function validateRegister(request: RegisterRequest, rules: RegisterRules): ValidRegister {
  const user = checkedUser(request.user, rules)
  return withUser(request.user, () => ({
    user,
    account: checkedAccount(request.account),
    token: checkedToken(request.token),
    subtopic: checkedSubtopic(request.subtopic, rules.subtopics),
    mailboxes: checkedMailboxes(request.mailboxes),
  }))
}

/** Throws BadRequest; the message names the value and its bound. */
export function validateNotify(request: NotifyRequest, rules: NotifyRules): Notification {
  const user = checkedUser(request.user, rules)
  return withUser(request.user, () => ({
    user,
    mailbox: checkedMailbox(request.mailbox),
    events: checkedEvents(request.events),
  }))
}

/** Runs `check`; what it refuses is refused in the name of `user`. */
function withUser<T>(user: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    throw error instanceof BadRequest ? new BadRequest(error.message, { user }) : error
  }
}

function checkedUser(user: string, rules: NotifyRules): string {
  checkText('user name', user, MAX_USER_BYTES)
  return canonicalUser(user, rules)
}

function checkedAccount(account: string): string {
  checkText('account id', account, MAX_ACCOUNT_BYTES)
  return account
}

function checkText(what: string, text: string, maxBytes: number): void {
  if (text === '') throw new BadRequest(`${what}: empty, at least 1 byte expected`)
  if (Buffer.byteLength(text) > maxBytes) throw new BadRequest(`${what}: longer than ${maxBytes} bytes`)
  if (CONTROL.test(text)) throw new BadRequest(`${what}: no control characters allowed`)
  if (NOT_UTF8.test(text)) throw new BadRequest(`${what}: not valid UTF-8`)
}

function checkedToken(token: string): string {
  if (!TOKEN.test(token))
    throw new BadRequest('device token: expected an even number of hex digits, 32 to 200')
  return token.toLowerCase()
}

function checkedSubtopic(subtopic: string, served: readonly string[]): string {
  if (!served.includes(subtopic)) throw new BadRequest('subtopic: not one of those that are served')
  return subtopic
}

function checkedMailboxes(names: readonly string[]): readonly string[] {
  if (names.length > MAX_MAILBOXES) throw new BadRequest(`mailboxes: more than ${MAX_MAILBOXES}`)
  if (names.length === 0) return ['INBOX']
  return [...new Set(names.map(name => (name === '' ? 'INBOX' : checkedMailbox(name))))]
}

function checkedMailbox(name: string): string {
  if (Buffer.byteLength(name) > MAX_MAILBOX_BYTES)
    throw new BadRequest(`mailbox name: longer than ${MAX_MAILBOX_BYTES} bytes`)
  if (LINE_BREAK.test(name)) throw new BadRequest('mailbox name: no CR, LF or NUL allowed')
  return canonicalMailbox(name)
}

function checkedEvents(events: readonly string[]): readonly string[] {
  if (events.some(event => LINE_BREAK.test(event))) throw new BadRequest('event: no CR, LF or NUL allowed')
  return events.filter(event => event !== '')
}
