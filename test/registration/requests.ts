/** Requests for tests: the recorded ones, one example of each verb, and fast-check's endless supply. */

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import type { NotifyRequest, RegisterRequest } from '../../plugins/xaps/registration/validate.ts'

/** From the compiled test in dist/test/registration/ to the fixtures beside the sources. */
const WIRE = path.join(__dirname, '../../../test/fixtures/wire')

export const ACCOUNT = '0715A26B-CA09-4730-A419-793000CA982E'
export const TOKEN = '2918390218931890821908309283098109381029309829018310983092892829'

export const registerExample: RegisterRequest = {
  verb: 'REGISTER',
  account: ACCOUNT,
  token: TOKEN,
  subtopic: 'com.apple.mobilemail',
  user: 'user@example.org',
  mailboxes: ['INBOX', 'Notes', 'Sent Messages'],
}

export const notifyExample: NotifyRequest = {
  verb: 'NOTIFY',
  user: 'user@example.org',
  mailbox: 'INBOX',
  events: ['MessageNew'],
}

/** Names of the recordings, with their ending. */
export function wireFiles(): string[] {
  return readdirSync(WIRE)
    .filter(name => name.endsWith('.txt'))
    .sort()
}

/** What a recorded request hands to the parser: the line without CR LF, or the body after the HTTP header. */
export function wireInput(name: string): Buffer {
  const raw = readFileSync(path.join(WIRE, name))
  const header = raw.indexOf('\r\n\r\n')
  return header < 0 ? raw.subarray(0, raw.indexOf('\r\n')) : raw.subarray(header + 4)
}

/** Any text that may stand between quotes: line breaks and NUL never may. */
const text = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.string({
      unit: fc.constantFrom('"', '\\', "'", '\t', ',', ')', '(', '=', '&', '-', 'ü', 'A'),
      maxLength: 20,
    }),
    fc.constantFrom('INBOX', 'inbox', 'Entw&APw-rfe', 'Entwürfe', '&AOQ-', '__proto__', '"),("', '\u2028'),
  )
  .map(value => value.replace(/[\r\n\0]/g, '_'))

/** Mostly what a real request has there, so that most requests are valid ones. */
function mostly(...usual: string[]): fc.Arbitrary<string> {
  return fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: text })
}

/** Records with the usual prototype, so that deepEqual takes them for what a parser returns. */
function plainRecord<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true })
}

export const anyRegister: fc.Arbitrary<RegisterRequest> = plainRecord({
  verb: fc.constant('REGISTER' as const),
  account: mostly(ACCOUNT),
  token: mostly(TOKEN),
  subtopic: mostly('com.apple.mobilemail'),
  user: mostly('user@example.org', "o'brien@example.org"),
  mailboxes: fc.array(text, { maxLength: 8 }),
})

export const anyNotify: fc.Arbitrary<NotifyRequest> = plainRecord({
  verb: fc.constant('NOTIFY' as const),
  user: mostly('user@example.org'),
  mailbox: text,
  events: fc.array(mostly('MessageNew', 'FlagsSet', 'MessageExpunge'), { maxLength: 4 }),
})
