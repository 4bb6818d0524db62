/** Recipients of a mail → canonical names of the users whose devices are to be told. The stage's joint. */

import { MAX_USER_BYTES } from '../base/limits.ts'
import { canonicalUser } from '../base/names.ts'
import type { Config } from '../config/config.ts'
import type { Address, Mode } from '../haraka/types.ts'
import type { IsLocal } from './local.ts'
import type { UserDbAnswer } from './userdb-protocol.ts'
import { addressWithoutDetail, userNameOf } from './username.ts'

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
  const answer = await lookup?.(addressWithoutDetail(recipient, users.recipient_delimiter))
  if (answer?.kind === 'unknown') return undefined
  return canonicalUser(answer?.kind === 'user' ? answer.name : userNameOf(recipient, users), users)
}

/** A longer name cannot have registered. */
function isPossible(user: string): boolean {
  return user !== '' && Buffer.byteLength(user) <= MAX_USER_BYTES
}
