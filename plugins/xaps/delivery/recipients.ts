/** Recipients of a mail → canonical names of the users whose devices are to be told: the steps of this stage, joined. */

import { canonicalUser } from '../base/canonical-names.ts'
import { MAX_USER_BYTES } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { type Config, pathIn } from '../config/config.ts'
import { type Address, addressWithoutDetail, type Mode, parseAddress, userNameOf } from './address.ts'
import { type HarakaLists, watchLocalDomains } from './local.ts'
import { UserDb } from './userdb.ts'

/** The users behind a mail's recipients, each once, in no order, and how many recipients have none here. */
export interface Resolved {
  readonly users: readonly string[]
  /** Recipients in a domain that is not local. */
  readonly relayed: number
  /** Recipients that Dovecot does not know, or whose name is longer than any that can have registered. */
  readonly unknown: number
}

export interface UserLookup {
  /** Never rejects. */
  resolve(recipients: readonly Address[], mode: Mode): Promise<Resolved>
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
  const resolve: UserLookup['resolve'] = async (recipients, mode) => {
    const local = recipients.filter(({ host }) => isLocal(host, mode))
    const found = await Promise.all(local.map(userOf))
    const users = found.filter(user => user !== undefined).filter(isPossible)
    const relayed = recipients.length - local.length
    return { users: [...new Set(users)], relayed, unknown: local.length - users.length }
  }
  return {
    resolve,
    userOf: async typed => (await resolve([parseAddress(typed)], 'LMTP')).users[0],
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
