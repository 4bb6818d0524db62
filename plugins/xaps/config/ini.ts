/**
 * An ini file as Haraka writes them, read to strings, and Haraka's own smtp.ini. Knows no key of ours.
 *
 * The grammar is haraka-config's (comments only at a line's start, values kept as they stand, a backslash at a
 * line's end continues it). haraka-config itself turns `key_id = 0012345678` into the number 12345678; Apple's
 * key and team ids may be digits only, so values must stay text here.
 */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { groupId, userId } from '../base/accounts.ts'
import { reasonOf } from '../base/log.ts'

export interface Entry {
  readonly section: string
  readonly key: string
  readonly value: string
  /** 1 for the file's first line. */
  readonly line: number
}

const COMMENT_OR_BLANK = /^\s*(?:[;#].*)?$/
const SECTION = /^\s*\[([^\]]*)\]\s*$/
const CONTINUED = /\\[ \t]*$/
const PARAM = /^\s*([\w@:._+\-/[\]]+)\s*(?:=\s*(.*?)\s*)?$/

/** The entries of `text` in file order; those before the first section are in section `main`. Throws on a line that is none. */
export function parseIni(text: string): Entry[] {
  const entries: Entry[] = []
  let section = 'main'
  let pending = ''
  for (const [index, raw] of text.split(/\r\n|\r|\n/).entries()) {
    if (COMMENT_OR_BLANK.test(raw)) continue
    const header = SECTION.exec(raw)
    if (header?.[1] !== undefined) {
      section = header[1].trim()
      continue
    }
    if (CONTINUED.test(raw)) {
      pending += raw.replace(CONTINUED, '')
      continue
    }
    const param = PARAM.exec(pending + raw)
    pending = ''
    if (param?.[1] === undefined)
      throw new Error(`line ${index + 1}: expected "key = value", got "${raw.trim()}"`)
    entries.push({ section, key: param[1], value: param[2] ?? '', line: index + 1 })
  }
  return entries
}

/** The text of a file of Haraka's; empty where there is none. Throws the system's errors. */
export function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

/** A setting that cannot be used. `message` is one line: file, section, key, value and what was expected. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** Returns the result of `work`; its error becomes a ConfigError whose message begins with `where`. */
export function attempt<T>(where: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw new ConfigError(`${where}${reasonOf(error)}`)
  }
}

/** smtp.ini, as far as it is about processes. */
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
  return attempt(`${file}: `, () => {
    const main = parseIni(readIfThere(file)).filter(({ section }) => section === 'main')
    const { user, group, nodes } = Object.fromEntries(main.map(({ key, value }) => [key, value]))
    return {
      uid: user ? userId(user) : undefined,
      gid: group ? groupId(group) : undefined,
      singleProcess: nodes === '0',
    }
  })
}
