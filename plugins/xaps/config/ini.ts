/**
 * An ini file as Haraka writes them, read to strings. Knows no key of ours.
 *
 * The grammar is haraka-config's (comments only at a line's start, values kept as they stand, a backslash at a
 * line's end continues it). haraka-config itself turns `key_id = 0012345678` into the number 12345678; Apple's
 * key and team ids may be digits only, so values must stay text here.
 */

import { readFileSync } from 'node:fs'

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
