/** The user and group that Haraka drops to, from its smtp.ini. */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { groupId, userId } from '../registration/owner.ts'
import { parseIni } from './ini.ts'

/** Undefined where Haraka stays what it is. */
export interface UserIds {
  readonly uid: number | undefined
  readonly gid: number | undefined
}

/** Throws when smtp.ini names a user or group that does not exist; Haraka would not start either. */
export function harakaUser(harakaDir: string): UserIds {
  const main = new Map(
    parseIni(readSmtpIni(harakaDir))
      .filter(({ section }) => section === 'main')
      .map(({ key, value }) => [key, value]),
  )
  const user = main.get('user')
  const group = main.get('group')
  return { uid: user ? userId(user) : undefined, gid: group ? groupId(group) : undefined }
}

function readSmtpIni(harakaDir: string): string {
  try {
    return readFileSync(path.join(harakaDir, 'config', 'smtp.ini'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
