/**
 * The line protocol of st3fan's Dovecot plugin: one line → one request. Knows no sockets and no rules for values.
 *
 * A mailbox name or account id holds whatever bytes an IMAP user chose, line breaks and further commands included
 * (an IMAP literal carries them). So the grammar is exactly what the plugin writes, and anything else refuses the
 * whole line. One pass over the bytes.
 */

import { BadRequest } from './refusal.ts'
import type { Request } from './validate.ts'

/** Sticky: each matches where the scanner stands, perhaps nothing. */
const WORD = /[A-Za-z-]*/y
const PLAIN = /[^"\\\r\n\0]*/y

const NEVER_IN_QUOTES = '\r\n\0'
const ESCAPED = '"\\\''

type Kind = 'string' | 'list'

/** The keys of each verb and what their values are; they come in any order. */
const KEYS: Readonly<Record<Request['verb'], ReadonlyMap<string, Kind>>> = {
  REGISTER: new Map([
    ['aps-account-id', 'string'],
    ['aps-device-token', 'string'],
    ['aps-subtopic', 'string'],
    ['dovecot-username', 'string'],
    ['dovecot-mailboxes', 'list'],
  ]),
  NOTIFY: new Map([
    ['dovecot-username', 'string'],
    ['dovecot-mailbox', 'string'],
    ['events', 'list'],
  ]),
}

/** Where the scanner stands, and what it has read. */
interface Scan {
  /** One character per byte. */
  readonly line: string
  at: number
  readonly strings: Map<string, string>
  readonly lists: Map<string, string[]>
}

/**
 * Reads one line, given without its line end. Bytes that are not UTF-8 become U+FFFD. A NOTIFY without `events`
 * comes from an older plugin and means MessageNew. Throws BadRequest, with the user when that was read before the fault.
 */
export function parseLine(bytes: Buffer): Request {
  const scan: Scan = { line: bytes.toString('latin1'), at: 0, strings: new Map(), lists: new Map() }
  const verb = take(scan, WORD)
  if (verb !== 'REGISTER' && verb !== 'NOTIFY') throw new BadRequest('expected REGISTER or NOTIFY')
  expect(scan, ' ', 'one space after the verb')
  pair(scan, KEYS[verb])
  while (scan.at < scan.line.length) {
    expect(scan, '\t', 'a TAB between two pairs')
    pair(scan, KEYS[verb])
  }
  return verb === 'REGISTER' ? registerIn(scan) : notifyIn(scan)
}

function registerIn(scan: Scan): Request {
  return {
    verb: 'REGISTER',
    account: required(scan, scan.strings, 'aps-account-id'),
    token: required(scan, scan.strings, 'aps-device-token'),
    subtopic: required(scan, scan.strings, 'aps-subtopic'),
    user: required(scan, scan.strings, 'dovecot-username'),
    mailboxes: required(scan, scan.lists, 'dovecot-mailboxes'),
  }
}

function notifyIn(scan: Scan): Request {
  return {
    verb: 'NOTIFY',
    user: required(scan, scan.strings, 'dovecot-username'),
    mailbox: required(scan, scan.strings, 'dovecot-mailbox'),
    events: scan.lists.get('events') ?? ['MessageNew'],
  }
}

function required<T>(scan: Scan, values: ReadonlyMap<string, T>, key: string): T {
  const value = values.get(key)
  if (value === undefined) throw refusal(scan, `${key} is missing`)
  return value
}

/** `key="value"` or `key=("value","value")`. */
function pair(scan: Scan, keys: ReadonlyMap<string, Kind>): void {
  const start = scan.at
  const key = take(scan, WORD)
  const kind = keys.get(key)
  if (kind === undefined) throw refusal(scan, `unknown key at byte ${start}`)
  if (scan.strings.has(key) || scan.lists.has(key)) throw refusal(scan, `${key} is given twice`)
  expect(scan, '=', '"=" after a key')
  if (kind === 'string') scan.strings.set(key, quoted(scan))
  else scan.lists.set(key, list(scan))
}

function list(scan: Scan): string[] {
  expect(scan, '(', '"(" before a list')
  const items: string[] = []
  if (skip(scan, ')')) return items
  do items.push(quoted(scan))
  while (skip(scan, ','))
  expect(scan, ')', '"," or ")" in a list')
  return items
}

/** A quoted string. Escaped are `"`, `\` and `'`, and nothing else; TAB, comma and `)` stand raw in it. */
function quoted(scan: Scan): string {
  expect(scan, '"', 'a quoted string')
  let value = take(scan, PLAIN)
  while (!skip(scan, '"')) {
    skip(scan, '\\')
    const byte = scan.line[scan.at]
    if (byte === undefined) throw refusal(scan, 'the line ends inside quotes')
    if (NEVER_IN_QUOTES.includes(byte)) throw refusal(scan, `CR, LF or NUL at byte ${scan.at}`)
    if (!ESCAPED.includes(byte)) throw refusal(scan, `unknown escape at byte ${scan.at - 1}`)
    scan.at += 1
    value += byte + take(scan, PLAIN)
  }
  // A copy: a part of the line would keep all of it in memory.
  return Buffer.from(value, 'latin1').toString()
}

/** The longest text at the scanner that `pattern` matches. */
function take(scan: Scan, pattern: RegExp): string {
  const start = scan.at
  pattern.lastIndex = start
  pattern.test(scan.line)
  scan.at = pattern.lastIndex
  return scan.line.slice(start, scan.at)
}

function skip(scan: Scan, byte: string): boolean {
  if (scan.line[scan.at] !== byte) return false
  scan.at += 1
  return true
}

function expect(scan: Scan, byte: string, what: string): void {
  if (!skip(scan, byte)) throw refusal(scan, `expected ${what} at byte ${scan.at}`)
}

function refusal(scan: Scan, message: string): BadRequest {
  return new BadRequest(message, { user: scan.strings.get('dovecot-username') })
}
