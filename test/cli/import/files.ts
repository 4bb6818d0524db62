/** Files for the tests of import: one small database of each kind, and how to read one. */

import { type Entry, readSource } from '../../../plugins/xaps/cli/import/formats.ts'

export const TOKEN_A = 'a1'.repeat(32)
export const TOKEN_B = 'b2'.repeat(32)
export const TOKEN_C = 'c3'.repeat(32)
export const TOPIC = 'com.apple.mail.XServer.0715a26b-ca09-4730-a419-793000ca982e'

/** As json.dump(…, indent=4) writes it; `()` on the wire became [null]. */
export const PYTHON_DATABASE = JSON.stringify(
  {
    alice: {
      accounts: {
        'ACCOUNT-1': {
          devices: {
            [TOKEN_A.toUpperCase()]: { mailboxes: ['Inbox', 'Entw&APw-rfe'] },
            [TOKEN_B]: { mailboxes: [null] },
          },
        },
      },
    },
    bob: { accounts: { 'ACCOUNT-2': { devices: { [TOKEN_C]: { mailboxes: [] } } } } },
  },
  null,
  4,
)

/** As MarshalIndent writes it; the first daemon has no RegistrationTime, the second one time.Time in local time. */
export function goDatabase(registrationTime: string): string {
  const zero = '0001-01-01T00:00:00Z'
  const alice = {
    'ACCOUNT-1': { DeviceToken: TOKEN_A, Mailboxes: ['Inbox'], RegistrationTime: registrationTime },
  }
  const bob = {
    'ACCOUNT-2': { DeviceToken: TOKEN_B, Mailboxes: null, RegistrationTime: zero },
    'ACCOUNT-3': { DeviceToken: TOKEN_C, Mailboxes: ['Inbox', 'Ham'] },
  }
  return JSON.stringify({ Users: { alice: { Accounts: alice }, bob: { Accounts: bob } } }, null, 2)
}

export const exampleLine = {
  user: 'alice',
  account: 'ACCOUNT-1',
  token: TOKEN_A,
  mailboxes: ['INBOX'],
  subtopic: 'com.apple.mobilemail',
  topic: TOPIC,
  registeredAt: '2026-01-02T03:04:05.678Z',
  lastSeen: '2026-02-03T04:05:06.789Z',
}

export type Line = typeof exampleLine

export function exportOf(...lines: readonly Partial<Line>[]): string {
  return lines.map(line => `${JSON.stringify({ ...exampleLine, ...line })}\n`).join('')
}

/** The name of the format and all entries. */
export function read(text: string | Buffer): { name: string; entries: Entry[] } {
  const { name, entries } = readSource(Buffer.from(text))
  return { name, entries: [...entries] }
}
