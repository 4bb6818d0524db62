/**
 * The database of the daemons in Go: `{Users: {user: {Accounts: {id: {DeviceToken, Mailboxes, RegistrationTime}}}}}`.
 * The later of the two daemons keeps the time of the latest registration, and Go's zero time for what it found without.
 */

import { beginsWith, type Entry, memberOf, type ObjectFormat, TEXT } from './format.ts'

export const go: ObjectFormat = {
  layout: 'object',
  name: 'database of a Go daemon',
  isOurs: false,
  beginning: beginsWith('\\{', '"Users"', ':', '\\{', `(?:\\}|${TEXT}`, ':', '\\{', '"Accounts"', ':)'),
  path: ['Users', '*', 'Accounts', '*'],
  entry([, user, , account], value): Entry {
    return {
      user,
      account,
      token: memberOf(value, 'DeviceToken'),
      mailboxes: memberOf(value, 'Mailboxes'),
      lastSeen: orAbsent(memberOf(value, 'RegistrationTime')),
    }
  },
}

function orAbsent(time: unknown): unknown {
  return typeof time === 'string' && time.startsWith('0001-01-01T') ? undefined : time
}
