/** The user and group of the Unix socket, to which Dovecot's imap and lmtp processes connect. */

import { findGroup, groupId, userId } from '../base/accounts.ts'
import type { Log } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import { isRoot } from './only-root.ts'

export interface Owner {
  readonly uid: number | undefined
  readonly gid: number | undefined
}

/** A process that is not root makes nothing for another user. */
export const NOBODY_ELSE: Owner = { uid: undefined, gid: undefined }

/** Dovecot's `default_internal_group`, which its imap and lmtp processes have beside their user's (`extra_groups`). */
export const DOVECOT_GROUP = 'dovecot'

const OTHERS_WRITE = 0o002

/**
 * `socket_user` and `socket_group`; where those are empty Haraka's user, and Dovecot's group if this process may give it,
 * else Haraka's group and a warning that says what to do. Throws when there is no such user or group.
 */
export function socketOwner(
  { socket, socketMode, socketUser, socketGroup }: Config['registration'],
  haraka: Owner,
  log: Log,
  find: (name: string) => number | undefined = findGroup,
): Owner {
  const uid = socketUser === '' ? haraka.uid : userId(socketUser)
  if (socketGroup !== '') return { uid, gid: groupId(socketGroup) }
  const dovecot = find(DOVECOT_GROUP)
  if (dovecot !== undefined && mayGive(dovecot)) return { uid, gid: dovecot }
  if (socket !== '' && !(socketMode & OTHERS_WRITE)) log.warn(warning(dovecot))
  return { uid, gid: haraka.gid }
}

function mayGive(gid: number): boolean {
  return isRoot() || process.getegid?.() === gid || process.getgroups?.().includes(gid) === true
}

function warning(dovecot: number | undefined): string {
  const why =
    dovecot === undefined
      ? `there is no group ${DOVECOT_GROUP}`
      : `this process is neither root nor in group ${DOVECOT_GROUP}`
  return `Dovecot may not be able to open the socket: ${why}; set [registration] socket_group to a group that this process and Dovecot's imap and lmtp are in (doveconf -h default_internal_group)`
}
