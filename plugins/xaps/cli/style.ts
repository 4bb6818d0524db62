/**
 * One style for what the commands print: green for good, yellow for a warning, red for a failure, dim for hints. Colours are
 * there on a terminal only, and as the environment asks: NO_COLOR, NODE_DISABLE_COLORS, FORCE_COLOR, TERM=dumb (no-color.org;
 * Node's tty.getColorDepth).
 */

import type { Writable } from 'node:stream'
import { styleText } from 'node:util'
import { visible } from '../base/log.ts'

type Format = Parameters<typeof styleText>[0]

/** A text with a style. As part of a template it is the text alone: text of others must not bring escapes along. */
export class Styled {
  readonly text: string
  readonly #format: Format

  constructor(text: string, format: Format) {
    this.text = text
    this.#format = format
  }

  /** As `stream` shows it: with escapes where it has colours. Characters of the text that steer are made visible. */
  on(stream: Writable): string {
    return styleText(this.#format, visible(this.text), { stream: stream as NodeJS.WriteStream })
  }

  /** Another text in the same style. */
  with(text: string): Styled {
    return new Styled(text, this.#format)
  }

  toString(): string {
    return this.text
  }
}

/** What may be printed. */
export type Text = string | Styled

export const ok = (text: string) => new Styled(text, 'green')
export const warn = (text: string) => new Styled(text, 'yellow')
export const fail = (text: string) => new Styled(text, 'red')
export const dim = (text: string) => new Styled(text, 'dim')
export const bold = (text: string) => new Styled(text, 'bold')

/** The parts of a line, as `stream` shows them. */
export function lineOn(stream: Writable, parts: readonly Text[]): string {
  return parts.map(part => (typeof part === 'string' ? visible(part) : part.on(stream))).join('')
}
