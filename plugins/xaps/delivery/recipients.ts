/** Recipients of a mail → canonical names of the users whose devices are to be told: the steps of this stage, joined. */

import { canonicalUser } from '../base/canonical-names.ts'
import { MAX_USER_BYTES } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { type Config, pathIn } from '../config/config.ts'
import type { Address, Mode, Plugin } from '../haraka/types.ts'
import { type IsLocal, watchLocalDomains } from './local.ts'
import { UserDb } from './userdb.ts'
import type { UserDbAnswer } from './userdb-protocol.ts'
import { addressWithoutDetail, parseAddress, userNameOf } from './username.ts'

export interface UserLookup {
  /** Users whose devices are to hear of a mail to `recipients`, each once, in no order. Never rejects. */
  usersOf(recipients: readonly Address[], mode: Mode): Promise<string[]>
  /** The user behind a recipient of LMTP as it was typed, with or without a domain; undefined for none. Never rejects. */
  userOf(typed: string): Promise<string | undefined>
  close(): void
}

/** `haraka` reads the lists of local domains. Connects to Dovecot's userdb when it is first asked. */
export function openUserLookup(config: Config, haraka: Plugin['config'], log: Log): UserLookup {
  const { dovecotUserdb } = config.users
  const userDb = dovecotUserdb === '' ? undefined : new UserDb(pathIn(config, dovecotUserdb), log)
  const options = {
    users: config.users,
    isLocal: watchLocalDomains(config.delivery.domains, haraka, log),
    lookup: userDb && ((address: string) => userDb.lookup(address)),
  }
  return {
    usersOf: (recipients, mode) => usersOf(recipients, mode, options),
    userOf: async typed => (await usersOf([parseAddress(typed)], 'LMTP', options))[0],
    close: () => userDb?.close(),
  }
}

export interface UsersOptions {
  readonly users: Config['users']
  readonly isLocal: IsLocal
  /** UserDb's, when `dovecot_userdb` is set. Never rejects. */
  readonly lookup?: ((address: string) => Promise<UserDbAnswer>) | undefined
}

/** Each user once, in no order. Never rejects. */
export async function usersOf(
  recipients: readonly Address[],
  mode: Mode,
  options: UsersOptions,
): Promise<string[]> {
  const local = recipients.filter(({ host }) => options.isLocal(host, mode))
  const users = await Promise.all(local.map(recipient => userOf(recipient, options)))
  return [...new Set(users)].filter(user => user !== undefined).filter(isPossible)
}

/** Dovecot's answer wins, also when it is that there is no such user; without one the address decides. */
async function userOf(recipient: Address, { users, lookup }: UsersOptions): Promise<string | undefined> {
  const answer = await lookup?.(addressWithoutDetail(recipient, users.recipientDelimiter))
  if (answer?.kind === 'unknown') return undefined
  return canonicalUser(answer?.kind === 'user' ? answer.name : userNameOf(recipient, users), users)
}

/** A longer name cannot have registered. */
function isPossible(user: string): boolean {
  return user !== '' && Buffer.byteLength(user) <= MAX_USER_BYTES
}
