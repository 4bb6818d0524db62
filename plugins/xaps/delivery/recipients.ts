/** Recipients of a mail → canonical names of the users whose devices are to be told: the steps of this stage, joined. */

import { canonicalUser } from '../base/canonical-names.ts'
import { MAX_USER_BYTES } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { type Config, pathIn } from '../config/config.ts'
import { type Address, addressWithoutDetail, type Mode, parseAddress, userNameOf } from './address.ts'
import { type HarakaLists, watchLocalDomains } from './local.ts'
import { UserDb } from './userdb.ts'

export interface UserLookup {
  /** Users whose devices are to hear of a mail to `recipients`, each once, in no order. Never rejects. */
  usersOf(recipients: readonly Address[], mode: Mode): Promise<string[]>
  /** The user behind a recipient of LMTP as it was typed, with or without a domain; undefined for none. Never rejects. */
  userOf(typed: string): Promise<string | undefined>
  close(): void
}

/** `lists` reads the lists of local domains. Connects to Dovecot's userdb when it is first asked. */
export function openUserLookup(
  config: Config,
  lists: HarakaLists,
  log: Log,
  userDb: Pick<UserDb, 'lookup' | 'close'> | undefined = userDbOf(config, log),
): UserLookup {
  const { users } = config
  const isLocal = watchLocalDomains(config.delivery, lists, log)
  /** Dovecot's answer wins, also when it is that there is no such user; without one the address decides. */
  const userOf = async (recipient: Address): Promise<string | undefined> => {
    const answer = await userDb?.lookup(addressWithoutDetail(recipient, users.recipientDelimiter))
    if (answer?.kind === 'unknown') return undefined
    return canonicalUser(answer?.kind === 'user' ? answer.name : userNameOf(recipient, users), users)
  }
  const usersOf: UserLookup['usersOf'] = async (recipients, mode) => {
    const found = await Promise.all(recipients.filter(({ host }) => isLocal(host, mode)).map(userOf))
    return [...new Set(found)].filter(user => user !== undefined).filter(isPossible)
  }
  return {
    usersOf,
    userOf: async typed => (await usersOf([parseAddress(typed)], 'LMTP'))[0],
    close: () => userDb?.close(),
  }
}

function userDbOf(config: Config, log: Log): UserDb | undefined {
  const { dovecotUserdb } = config.users
  return dovecotUserdb === '' ? undefined : new UserDb(pathIn(config, dovecotUserdb), log)
}

/** A longer name cannot have registered. */
function isPossible(user: string): boolean {
  return user !== '' && Buffer.byteLength(user) <= MAX_USER_BYTES
}
