/**
 * The bodies of freswa's Dovecot plugin: JSON → one request. Knows no HTTP and no rules for values.
 *
 * JSON.parse reads the largest body, however deep or broad, in a fifth of a second. Of a member given twice it keeps the
 * last: the plugin writes each once and escapes what a user chose, so such a body harms its own sender only.
 */

import { BadRequest } from './refusal.ts'
import type { NotifyRequest, RegisterRequest } from './validate.ts'

/**
 * The body of POST /register. Bytes that are not UTF-8 become U+FFFD. Member names are exact, unknown members
 * count for nothing, `Mailboxes` may be null. Throws BadRequest.
 */
export function parseRegisterBody(body: Buffer): RegisterRequest {
  const members = membersOf(body)
  return {
    verb: 'REGISTER',
    account: stringIn(members, 'ApsAccountId'),
    token: stringIn(members, 'ApsDeviceToken'),
    subtopic: stringIn(members, 'ApsSubtopic'),
    user: stringIn(members, 'Username'),
    mailboxes: stringsIn(members, 'Mailboxes', members.Mailboxes),
  }
}

/** The body of POST /notify, likewise; the plugin leaves `Events` out when there are none. Throws BadRequest. */
export function parseNotifyBody(body: Buffer): NotifyRequest {
  const members = membersOf(body)
  return {
    verb: 'NOTIFY',
    user: stringIn(members, 'Username'),
    mailbox: stringIn(members, 'Mailbox'),
    events: stringsIn(members, 'Events', members.Events ?? null),
  }
}

/** Of an object out of JSON.parse: its own members come before all that it inherits, and no name that is read here is inherited. */
type Members = Readonly<Record<string, unknown>>

/** The object that `body` is. */
function membersOf(body: Buffer): Members {
  const value = parsed(body.toString())
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new BadRequest('the body is not a JSON object')
  return value as Members
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) throw new BadRequest('the body is not valid JSON')
    throw error
  }
}

function stringIn(members: Members, name: string): string {
  const value = members[name]
  if (typeof value !== 'string') throw wrong(members, `${name} is missing or not a string`)
  return value
}

/** A list of strings; null is an empty one. */
function stringsIn(members: Members, name: string, value: unknown): readonly string[] {
  if (value === null) return []
  if (!Array.isArray(value) || !value.every(item => typeof item === 'string'))
    throw wrong(members, `${name} is missing or not a list of strings`)
  return value
}

function wrong(members: Members, message: string): BadRequest {
  const user = members.Username
  return new BadRequest(message, { user: typeof user === 'string' ? user : undefined })
}
