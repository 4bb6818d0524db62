/** Haraka's own smtp.ini, as far as it is about processes. */

import path from 'node:path'
import { groupId, userId } from '../base/accounts.ts'
import { reasonOf } from '../base/log.ts'
import { ConfigError } from './config.ts'
import { parseIni, readIfThere } from './ini.ts'

export interface SmtpIni {
  /** The user that Haraka becomes; undefined where it stays what it is. */
  readonly uid: number | undefined
  readonly gid: number | undefined
  /** Whether one process does everything (nodes=0), or a primary has workers; Haraka's default is one worker. */
  readonly singleProcess: boolean
}

/** Throws ConfigError when smtp.ini names a user or group that does not exist; Haraka would not start either. */
export function readSmtpIni(harakaDir: string): SmtpIni {
  const file = path.join(harakaDir, 'config', 'smtp.ini')
  try {
    return parse(readIfThere(file))
  } catch (error) {
    throw new ConfigError(`${file}: ${reasonOf(error)}`)
  }
}

function parse(text: string): SmtpIni {
  const main = new Map(
    parseIni(text)
      .filter(({ section }) => section === 'main')
      .map(({ key, value }) => [key, value]),
  )
  const user = main.get('user')
  const group = main.get('group')
  return {
    uid: user ? userId(user) : undefined,
    gid: group ? groupId(group) : undefined,
    singleProcess: main.get('nodes') === '0',
  }
}
