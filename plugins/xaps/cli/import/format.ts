/** What the files that can be imported have in common. Knows none of them. */

/** A device as it stands in a file: nothing is checked yet, not even that a text is a text. */
export interface Entry {
  readonly user: unknown
  readonly account: unknown
  readonly token: unknown
  /** null and undefined mean none. */
  readonly mailboxes: unknown
  /** Only our own export has these. */
  readonly subtopic?: unknown
  readonly topic?: unknown
  /** Times in RFC 3339; undefined where the format has none. */
  readonly registeredAt?: unknown
  readonly lastSeen?: unknown
}

interface CommonFormat {
  /** For the operator. */
  readonly name: string
  /** Whether names and times are as this project stores them, and each device brings its topic. */
  readonly isOurs: boolean
  /** What the beginning of such a file matches. */
  readonly beginning: RegExp
}

/** One big JSON object with a device at each place that `path` describes. */
export interface ObjectFormat extends CommonFormat {
  readonly layout: 'object'
  /** Names of members from the outermost to the device; `*` is any name. */
  readonly path: readonly string[]
  /** The device at `keys`, one for each step of `path`. */
  readonly entry: (keys: readonly unknown[], value: unknown) => Entry
}

/** One JSON object a line. */
export interface LinesFormat extends CommonFormat {
  readonly layout: 'lines'
  readonly entry: (value: unknown) => Entry
}

export type Format = ObjectFormat | LinesFormat

/** A file that cannot be read on. `message` is one line and quotes nothing of the file: it may hold tokens. */
export class BadFile extends Error {
  override name = 'BadFile'
}

/**
 * More than any device needs (500 mailboxes of 1000 bytes, each written as six) and little enough to be held: what is
 * larger is no device, and reading on would fill the memory.
 */
export const MAX_DEVICE_BYTES = 4 * 1024 * 1024

/** A JSON text, as a part of a regular expression. */
export const TEXT = String.raw`"(?:[^"\\]|\\.)*"`

/** Matches a file that begins with `tokens` (regular expressions), blanks between them or not. */
export function beginsWith(...tokens: readonly string[]): RegExp {
  return new RegExp(`^\\uFEFF?\\s*${tokens.join('\\s*')}`)
}

/** A member of a value that may be anything. */
export function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Readonly<Record<string, unknown>>)[name]
}
