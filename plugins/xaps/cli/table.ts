/**
 * Tables for a terminal: the columns get their widths from the first rows, so that any number of rows needs the memory of
 * those. What does not fit is cut in its middle, and columns that are less needed give way. Knows nothing of devices.
 */

import type { Writable } from 'node:stream'
import { visible } from '../base/log.ts'
import { bold, lineOn, Styled, type Text } from './style.ts'

export interface Column {
  readonly title: string
  /** Columns of the terminal that it must have at least: it is shown with fewer only when its texts are shorter. */
  readonly least: number
  /** Of two columns that do not both fit the one with the lower number stays. */
  readonly rank: number
}

/** Rows from which the widths come. */
const FIRST_ROWS = 100

/** A terminal narrower than that wraps the lines. */
const LEAST_WIDTH = 40

const GAP = '  '

/**
 * The lines of a table for `output`, `width` columns wide at most where the least widths allow that: the titles, then a line
 * for each row, which has a text for each column. No lines without rows.
 */
export async function* tableLines(
  output: Writable,
  width: number,
  columns: readonly Column[],
  rows: AsyncIterable<readonly Text[]>,
): AsyncGenerator<string> {
  let first: (readonly Text[])[] | undefined = []
  let lineOf: (row: readonly Text[]) => string = () => ''
  const begin = function* (known: readonly (readonly Text[])[]) {
    const widths = fitted(columns, known, width)
    lineOf = row => lineOn(output, cells(row, widths))
    if (known.length > 0) yield lineOf(columns.map(({ title }) => bold(title)))
    yield* known.map(lineOf)
  }
  for await (const row of rows) {
    if (first === undefined) yield lineOf(row)
    else if (first.push(row) === FIRST_ROWS) {
      yield* begin(first)
      first = undefined
    }
  }
  if (first) yield* begin(first)
}

/** How many columns of a terminal `text` takes: none for combining marks, two for East Asia's wide characters and emoji. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const character of text) width += MARK.test(character) ? 0 : WIDE.test(character) ? 2 : 1
  return width
}

const MARK = /\p{Mark}/u

/** Unicode's East_Asian_Width W and F by their blocks (UAX #11), and emoji that have no other look. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u

/** `text` in `width` columns at most: its beginning and its end, with … for what is between them. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  const characters = [...text]
  const end = taken(characters.toReversed(), Math.floor((width - 1) / 2))
    .reverse()
    .join('')
  return `${taken(characters, width - 1 - widthOf(end)).join('')}…${end}`
}

/** The first characters that fit into `width` columns. */
function taken(characters: readonly string[], width: number): string[] {
  let used = 0
  const end = characters.findIndex(character => {
    used += widthOf(character)
    return used > width
  })
  return characters.slice(0, end < 0 ? undefined : end)
}

/** The width that the column's texts want, its title included; 0 where it has no text. */
function naturalWidth({ title }: Column, texts: readonly Text[]): number {
  const widest = Math.max(0, ...texts.map(text => widthOf(visible(String(text)))))
  return widest === 0 ? 0 : Math.max(widest, title.length)
}

/**
 * The widths with which the table fits into `width`; 0 for a column that is not shown: one without any text, or one that
 * finds no room when all have their least. The room beyond the least widths goes to the columns by their rank.
 */
function fitted(columns: readonly Column[], rows: readonly (readonly Text[])[], width: number): number[] {
  const widths = columns.map(() => 0)
  let room = Math.max(width, LEAST_WIDTH) + GAP.length
  const wanted = columns
    .map((column, index) => {
      const natural = naturalWidth(
        column,
        rows.map(row => row[index] ?? ''),
      )
      return { index, rank: column.rank, natural, least: Math.min(natural, column.least) }
    })
    .sort((a, b) => a.rank - b.rank)
  for (const { index, least } of wanted) {
    if (least === 0 || least + GAP.length > room) continue
    widths[index] = least
    room -= least + GAP.length
  }
  for (const { index, natural, least } of wanted) {
    if (widths[index] === 0) continue
    const more = Math.min(natural - least, room)
    widths[index] = least + more
    room -= more
  }
  return widths
}

/** The row's parts, cut and padded; nothing is padded at the end of the line. */
function cells(row: readonly Text[], widths: readonly number[]): Text[] {
  const shown = row
    .map((text, index) => ({ text, width: widths[index] ?? 0 }))
    .filter(({ width }) => width > 0)
  return shown.flatMap(({ text, width }, index) => {
    const plain = cut(visible(String(text)), width)
    const padding = index < shown.length - 1 ? ' '.repeat(width - widthOf(plain)) + GAP : ''
    return [text instanceof Styled ? text.with(plain) : plain, padding]
  })
}
