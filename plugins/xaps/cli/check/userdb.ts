/** Whether Dovecot's userdb, where it is used, answers this process's user. Says nothing of any one mail user. */

import { noLog } from '../../base/log.ts'
import { type Config, pathIn } from '../../config/config.ts'
import { UserDb } from '../../delivery/userdb.ts'
import { type Finding, namesOf, ok, ownIds, warn } from './finding.ts'

/** Dovecot may know it or not: each is an answer. */
const PROBE_USER = 'xaps-check'

/** Without an answer users are taken from the addresses, so mail goes on waking phones: a warning. */
export async function checkUserDb(config: Config): Promise<Finding[]> {
  const socket = pathIn(config, config.users.dovecotUserdb)
  if (socket === '') return []
  const userDb = new UserDb(socket, noLog)
  try {
    const answer = await userDb.lookup(PROBE_USER)
    const me = namesOf(ownIds())
    if (answer.kind !== 'unavailable') return [ok(`userdb ${socket}: Dovecot answers ${me}`)]
    const [, group] = me.split(':')
    return [
      warn(
        `userdb ${socket}: Dovecot gives ${me} no answer: ${answer.reason}; in Dovecot's service auth, unix_listener auth-userdb needs group = ${group} and mode = 0660 (docs/install.md, "LMTP and userdb")`,
      ),
    ]
  } finally {
    userDb.close()
  }
}
