/** Properties that hold of a parser for any bytes at all. */

import assert from 'node:assert/strict'
import { parseNotifyBody, parseRegisterBody } from '../../plugins/xaps/registration/json.ts'
import { parseLine } from '../../plugins/xaps/registration/line.ts'
import { BadRequest } from '../../plugins/xaps/registration/refusal.ts'
import type { Request } from '../../plugins/xaps/registration/validate.ts'
import {
  type Notification,
  type ValidRegister,
  validateNotify,
  validateRegister,
} from '../../plugins/xaps/registration/validate.ts'
import { printBody, printLine } from '../registration/printer.ts'

export type Outcome = 'accepted' | 'refused'

/** Gives `input` to a parser; throws anything when a promise is broken. */
export type Target = (input: Buffer) => Outcome

const RULES = { subtopics: ['com.apple.mobilemail'], lowercase: true }

export const targets: Readonly<Record<string, Target>> = {
  line: input => examine(input, parseLine, printLine),
  register: input => examine(input, parseRegisterBody, printBody),
  notify: input => examine(input, parseNotifyBody, printBody),
}

/** A request that is printed and parsed again is the same; a refusal is a BadRequest fit to be sent. */
function examine(
  input: Buffer,
  parse: (bytes: Buffer) => Request,
  print: (request: Request) => Buffer,
): Outcome {
  const before = Buffer.from(input)
  const request = unlessRefused(() => parse(input))
  assert.ok(before.equals(input), 'the input was changed')
  if (!request) return 'refused'
  assert.deepEqual(parse(print(request)), request)
  const valid = unlessRefused(() => checkValid(request))
  return valid ? 'accepted' : 'refused'
}

function unlessRefused<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof BadRequest)) throw error
    assert.match(error.message, /^[ -~]{1,100}$/)
    return undefined
  }
}

function checkValid(request: Request): ValidRegister | Notification {
  if (request.verb === 'NOTIFY') {
    const notification = validateNotify(request, RULES)
    checkUser(notification.user)
    checkMailbox(notification.mailbox)
    return notification
  }
  const registration = validateRegister(request, RULES)
  checkUser(registration.user)
  assert.match(registration.token, /^[0-9a-f]{32,200}$/)
  assert.match(registration.account, /^[^\p{Control}\p{Surrogate}]+$/u)
  assert.ok(registration.mailboxes.length >= 1 && registration.mailboxes.length <= 500)
  for (const mailbox of registration.mailboxes) checkMailbox(mailbox)
  return registration
}

function checkUser(user: string): void {
  assert.match(user, /^[^\p{Control}\p{Surrogate}]+$/u)
  assert.ok(Buffer.byteLength(user) <= 255)
}

function checkMailbox(name: string): void {
  assert.match(name, /^[^\r\n\0\p{Surrogate}]*$/u)
  assert.ok(name === 'INBOX' || name.toUpperCase() !== 'INBOX')
}
