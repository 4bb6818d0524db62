/** Sentences for a person: a mark or a name in front, wrapped at a terminal, one line each elsewhere, where they are searched. */

import { visible } from '../base/log.ts'
import type { Finding } from './check/finding.ts'
import { print } from './context.ts'
import { dim, fail, ok, Styled, type Text, warn } from './style.ts'
import { widthOf } from './table.ts'

const MARKS = { ok, warn, FAIL: fail }

/** A finding as `xaps check` and `xaps explain` print it: its level, what was found, and below it what to do. */
export function printFinding({ level, text }: Finding, remedy?: string): void {
  printParagraph([MARKS[level](level.padEnd(6))], text)
  if (remedy) printParagraph([' '.repeat(6), dim('→ ')], dim(remedy))
}

/** `text` beside `front`: its further lines begin below its first. */
export function printParagraph(front: readonly Text[], text: Text): void {
  const indent = widthOf(front.map(String).join(''))
  const [first = '', ...others] = wrapped(visible(String(text)), terminalWidth() - indent)
  const styled = (line: string) => (text instanceof Styled ? text.with(line) : line)
  print(...front, styled(first))
  for (const line of others) print(' '.repeat(indent), styled(line))
}

/** Columns of the terminal; no bound where the output is none. */
export function terminalWidth(): number {
  return process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY
}

/** The lines of `text`, each of `width` columns at most where its words allow that. */
export function wrapped(text: string, width: number): readonly string[] {
  if (widthOf(text) <= width) return [text]
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    const longer = `${line} ${word}`
    if (line !== undefined && widthOf(longer) <= width) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines
}
