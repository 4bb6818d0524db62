/**
 * The database of the first daemon, in Python: `{user: {accounts: {id: {devices: {token: {mailboxes: […]}}}}}}`. It
 * keeps no times, and every token that an account ever had.
 */

import { beginsWith, type Entry, memberOf, type ObjectFormat, TEXT } from './format.ts'

export const python: ObjectFormat = {
  layout: 'object',
  name: 'database of the Python daemon',
  isOurs: false,
  beginning: beginsWith('\\{', `(?:\\}\\s*$|${TEXT}`, ':', '\\{', '"accounts"', ':)'),
  path: ['*', 'accounts', '*', 'devices', '*'],
  entry([user, , account, , token], device): Entry {
    return { user, account, token, mailboxes: named(memberOf(device, 'mailboxes')) }
  },
}

/** That daemon splits lists at every comma and keeps null for what is then no quoted text: `()` became `[null]`. */
function named(mailboxes: unknown): unknown {
  return Array.isArray(mailboxes) ? mailboxes.filter(name => name !== null) : mailboxes
}
