/** What `xaps export` writes: JSON lines, one device each. */

import { beginsWith, type Entry, type LinesFormat, memberOf, TEXT } from './format.ts'

const inFirstLine = (name: string): string => `(?=[^\\n]*"${name}"\\s*:)`

export const own: LinesFormat = {
  layout: 'lines',
  name: 'xaps export',
  isOurs: true,
  // An empty file is the export of an empty store.
  beginning: beginsWith(
    `(?:$|${['user', 'account', 'token'].map(inFirstLine).join('')}\\{`,
    TEXT,
    ':',
    '["[])',
  ),
  entry(line): Entry {
    return {
      user: memberOf(line, 'user'),
      account: memberOf(line, 'account'),
      token: memberOf(line, 'token'),
      mailboxes: memberOf(line, 'mailboxes'),
      subtopic: memberOf(line, 'subtopic'),
      topic: memberOf(line, 'topic'),
      registeredAt: memberOf(line, 'registeredAt'),
      lastSeen: memberOf(line, 'lastSeen'),
    }
  },
}
