/**
 * The bodies of freswa's Dovecot plugin: JSON → one request. Knows no HTTP and no rules for values.
 *
 * The grammar is left to JSON.parse. A scan before it bounds depth and breadth and finds what JSON.parse hides: a member
 * given twice, of which it would silently keep the last.
 */

import { BadRequest, type NotifyRequest, type RegisterRequest } from './request.ts'

/** The plugin's bodies have two levels, the object and its list; members that we do not know may have some more. */
const MAX_DEPTH = 8

/** The plugin's objects have five members; 100,000 in one body would keep everybody waiting for a third of a second. */
const MAX_MEMBERS = 64

const QUOTE = 0x22
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

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
    mailboxes: stringsIn(members, 'Mailboxes', members.get('Mailboxes')),
  }
}

/** The body of POST /notify, likewise; the plugin leaves `Events` out when there are none. Throws BadRequest. */
export function parseNotifyBody(body: Buffer): NotifyRequest {
  const members = membersOf(body)
  return {
    verb: 'NOTIFY',
    user: stringIn(members, 'Username'),
    mailbox: stringIn(members, 'Mailbox'),
    events: stringsIn(members, 'Events', members.get('Events') ?? null),
  }
}

/** The members of the object that `body` is; a Map, in which `__proto__` is a name like any other. */
function membersOf(body: Buffer): ReadonlyMap<string, unknown> {
  checkStructure(body)
  const value = parsed(body.toString())
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new BadRequest('the body is not a JSON object')
  return new Map(Object.entries(value))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) throw new BadRequest('the body is not valid JSON')
    throw error
  }
}

/** One pass over the bytes: nowhere deeper than MAX_DEPTH; the outer object's members few, each name once. */
function checkStructure(body: Buffer): void {
  const names = new Set<string>()
  let depth = 0
  let lastString = { start: 0, end: 0 }
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at]
    if (byte === QUOTE) {
      lastString = { start: at, end: endOfString(body, at) }
      at = lastString.end - 1
    } else if (byte === COLON && depth === 1) {
      addOnce(names, parsed(body.toString('utf8', lastString.start, lastString.end)))
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      depth += 1
      if (depth > MAX_DEPTH) throw new BadRequest(`the body is nested deeper than ${MAX_DEPTH} levels`)
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      depth -= 1
    }
  }
}

/** The offset after the closing quote of the string that opens at `start`. */
function endOfString(body: Buffer, start: number): number {
  for (let at = start + 1; at < body.length; at += 1) {
    if (body[at] === BACKSLASH) at += 1
    else if (body[at] === QUOTE) return at + 1
  }
  throw new BadRequest('the body ends inside quotes')
}

function addOnce(names: Set<string>, name: unknown): void {
  if (names.has(String(name))) throw new BadRequest('the body has a member twice')
  names.add(String(name))
  if (names.size > MAX_MEMBERS) throw new BadRequest(`the body has more than ${MAX_MEMBERS} members`)
}

function stringIn(members: ReadonlyMap<string, unknown>, name: string): string {
  const value = members.get(name)
  if (typeof value !== 'string') throw wrong(members, `${name} is missing or not a string`)
  return value
}

/** A list of strings; null is an empty one. */
function stringsIn(members: ReadonlyMap<string, unknown>, name: string, value: unknown): readonly string[] {
  if (value === null) return []
  if (!Array.isArray(value) || !value.every(item => typeof item === 'string'))
    throw wrong(members, `${name} is missing or not a list of strings`)
  return value
}

function wrong(members: ReadonlyMap<string, unknown>, message: string): BadRequest {
  const user = members.get('Username')
  return new BadRequest(message, typeof user === 'string' ? user : undefined)
}
