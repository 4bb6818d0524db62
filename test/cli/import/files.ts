/** Files for the tests of import: one small literal database of each kind, and how to read text as a file. */

import type { Entry } from '../../../plugins/xaps/cli/import/format.ts'
import { openSource } from '../../../plugins/xaps/cli/import/source.ts'

export const TOKEN_A = 'a1'.repeat(32)
export const TOKEN_B = 'b2'.repeat(32)
export const TOKEN_C = 'c3'.repeat(32)
export const TOPIC = 'com.apple.mail.XServer.0715a26b-ca09-4730-a419-793000ca982e'

/** As json.dump(…, indent=4) writes it; `()` on the wire became [null]. */
export const PYTHON_DATABASE = `{
    "alice": {
        "accounts": {
            "ACCOUNT-1": {
                "devices": {
                    "${TOKEN_A.toUpperCase()}": {
                        "mailboxes": [
                            "Inbox",
                            "Entw&APw-rfe"
                        ]
                    },
                    "${TOKEN_B}": {
                        "mailboxes": [
                            null
                        ]
                    }
                }
            }
        }
    },
    "bob": {
        "accounts": {
            "ACCOUNT-2": {
                "devices": {
                    "${TOKEN_C}": {
                        "mailboxes": []
                    }
                }
            }
        }
    }
}`

/** As MarshalIndent writes it; the first daemon has no RegistrationTime, the second one time.Time in local time. */
export const goDatabase = (registrationTime: string): string => `{
  "Users": {
    "alice": {
      "Accounts": {
        "ACCOUNT-1": {
          "DeviceToken": "${TOKEN_A}",
          "Mailboxes": [
            "Inbox"
          ],
          "RegistrationTime": "${registrationTime}"
        }
      }
    },
    "bob": {
      "Accounts": {
        "ACCOUNT-2": {
          "DeviceToken": "${TOKEN_B}",
          "Mailboxes": null,
          "RegistrationTime": "0001-01-01T00:00:00Z"
        },
        "ACCOUNT-3": {
          "DeviceToken": "${TOKEN_C}",
          "Mailboxes": [
            "Inbox",
            "Ham"
          ]
        }
      }
    }
  }
}`

export interface Line {
  user: string
  account: string
  token: string
  mailboxes: readonly string[]
  subtopic: string
  topic: string
  registeredAt: string
  lastSeen: string
}

export const exampleLine: Line = {
  user: 'alice',
  account: 'ACCOUNT-1',
  token: TOKEN_A,
  mailboxes: ['INBOX'],
  subtopic: 'com.apple.mobilemail',
  topic: TOPIC,
  registeredAt: '2026-01-02T03:04:05.678Z',
  lastSeen: '2026-02-03T04:05:06.789Z',
}

export function exportOf(...lines: readonly Partial<Line>[]): string {
  return lines.map(line => `${JSON.stringify({ ...exampleLine, ...line })}\n`).join('')
}

/** `text` as a file that is read `size` bytes at a time. */
export async function* chunksOf(text: string | Buffer, size = 64 * 1024): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** The name of the format and all entries. */
export async function read(
  text: string | Buffer,
  size?: number,
): Promise<{ name: string; entries: Entry[] }> {
  const { format, entries } = await openSource(chunksOf(text, size))
  const all: Entry[] = []
  for await (const entry of entries) all.push(entry)
  return { name: format.name, entries: all }
}
