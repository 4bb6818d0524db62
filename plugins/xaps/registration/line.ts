/**
 * The line protocol of st3fan's Dovecot plugin: one line → one request. Knows no sockets and no rules for values.
 *
 * A mailbox name or account id holds whatever bytes an IMAP user chose, line breaks and further commands included
 * (an IMAP literal carries them). So the grammar is exactly what the plugin writes, and anything else refuses the
 * whole line. One pass over the bytes.
 */

import { BadRequest } from './refusal.ts'
import type { Request } from './validate.ts'

const NUL = 0x00
const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const QUOTE = 0x22
const APOSTROPHE = 0x27
const OPEN = 0x28
const CLOSE = 0x29
const COMMA = 0x2c
const HYPHEN = 0x2d
const EQUALS = 0x3d
const BACKSLASH = 0x5c

type Kind = 'string' | 'list'

/** The keys of each verb and what their values are; they come in any order. */
const KEYS: ReadonlyMap<string, ReadonlyMap<string, Kind>> = new Map([
  [
    'REGISTER',
    new Map<string, Kind>([
      ['aps-account-id', 'string'],
      ['aps-device-token', 'string'],
      ['aps-subtopic', 'string'],
      ['dovecot-username', 'string'],
      ['dovecot-mailboxes', 'list'],
    ]),
  ],
  [
    'NOTIFY',
    new Map<string, Kind>([
      ['dovecot-username', 'string'],
      ['dovecot-mailbox', 'string'],
      ['events', 'list'],
    ]),
  ],
])

/** Where the scanner stands, and what it has read. */
interface Scan {
  readonly line: Buffer
  at: number
  readonly strings: Map<string, string>
  readonly lists: Map<string, string[]>
}

/**
 * Reads one line, given without its line end. Bytes that are not UTF-8 become U+FFFD. A NOTIFY without `events`
 * comes from an older plugin and means MessageNew. Throws BadRequest, with the user when that was read before the fault.
 */
export function parseLine(line: Buffer): Request {
  const scan: Scan = { line, at: 0, strings: new Map(), lists: new Map() }
  const verb = word(scan)
  const keys = KEYS.get(verb)
  if (!keys) throw new BadRequest('expected REGISTER or NOTIFY')
  expect(scan, SPACE, 'one space after the verb')
  pair(scan, keys)
  while (scan.at < line.length) {
    expect(scan, TAB, 'a TAB between two pairs')
    pair(scan, keys)
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
  const key = word(scan)
  const kind = keys.get(key)
  if (kind === undefined) throw refusal(scan, `unknown key at byte ${start}`)
  if (scan.strings.has(key) || scan.lists.has(key)) throw refusal(scan, `${key} is given twice`)
  expect(scan, EQUALS, '"=" after a key')
  if (kind === 'string') scan.strings.set(key, quoted(scan))
  else scan.lists.set(key, list(scan))
}

function list(scan: Scan): string[] {
  expect(scan, OPEN, '"(" before a list')
  const items: string[] = []
  if (skip(scan, CLOSE)) return items
  do items.push(quoted(scan))
  while (skip(scan, COMMA))
  expect(scan, CLOSE, '"," or ")" in a list')
  return items
}

/** A quoted string. Escaped are `"`, `\` and `'`, and nothing else; TAB, comma and `)` stand raw in it. */
function quoted(scan: Scan): string {
  expect(scan, QUOTE, 'a quoted string')
  const start = scan.at
  let escapes = 0
  for (let byte = inside(scan); byte !== QUOTE; byte = inside(scan)) {
    if (byte !== BACKSLASH) continue
    const escaped = inside(scan)
    if (escaped !== QUOTE && escaped !== BACKSLASH && escaped !== APOSTROPHE)
      throw refusal(scan, `unknown escape at byte ${scan.at - 2}`)
    escapes += 1
  }
  const bytes = scan.line.subarray(start, scan.at - 1)
  return (escapes === 0 ? bytes : unescaped(bytes, escapes)).toString()
}

/** The next byte inside quotes. */
function inside(scan: Scan): number {
  const byte = scan.line[scan.at]
  if (byte === undefined) throw refusal(scan, 'the line ends inside quotes')
  if (byte === CR || byte === LF || byte === NUL) throw refusal(scan, `CR, LF or NUL at byte ${scan.at}`)
  scan.at += 1
  return byte
}

function unescaped(bytes: Buffer, escapes: number): Buffer {
  const plain = Buffer.alloc(bytes.length - escapes)
  let from = 0
  for (let to = 0; to < plain.length; to += 1) {
    if (bytes[from] === BACKSLASH) from += 1
    plain[to] = bytes[from] ?? NUL
    from += 1
  }
  return plain
}

/** Letters and hyphens: a verb or a key, perhaps an empty one. */
function word(scan: Scan): string {
  const start = scan.at
  while (isWordByte(scan.line[scan.at])) scan.at += 1
  return scan.line.toString('latin1', start, scan.at)
}

function isWordByte(byte: number | undefined): boolean {
  if (byte === undefined) return false
  return byte === HYPHEN || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
}

function skip(scan: Scan, byte: number): boolean {
  if (scan.line[scan.at] !== byte) return false
  scan.at += 1
  return true
}

function expect(scan: Scan, byte: number, what: string): void {
  if (!skip(scan, byte)) throw refusal(scan, `expected ${what} at byte ${scan.at}`)
}

function refusal(scan: Scan, message: string): BadRequest {
  return new BadRequest(message, scan.strings.get('dovecot-username'))
}
