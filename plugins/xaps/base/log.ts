/**
 * The log that is passed to all parts, and the one of a process of its own (Haraka's is made in haraka/plugin.ts). Also the
 * steps of every text on its way out, to a log or a terminal: the masks that keep personal data out of the log at level info
 * and above, and the escapes for characters that a reader would not see.
 */

export type Fields = Readonly<Record<string, string | number | boolean>>

export type Level = 'debug' | 'info' | 'notice' | 'warn' | 'error'

/** One method per level. `message` is a sentence one can grep for, `fields` follow it as key=value. */
export type Log = Readonly<Record<Level, (message: string, fields?: Fields) => void>>

/** The log whose lines `write` gets. */
export function makeLog(write: (level: Level, message: string, fields?: Fields) => void): Log {
  const at = (level: Level) => (message: string, fields?: Fields) => write(level, message, fields)
  return { debug: at('debug'), info: at('info'), notice: at('notice'), warn: at('warn'), error: at('error') }
}

export const noLog = makeLog(() => undefined)

/** The message and its fields on one visible line; a value that is not a plain word is quoted as JSON does it. */
export function formatLine(message: string, fields: Fields = {}): string {
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${plain(String(value))}`)
  return visible([message, ...pairs].join(' '))
}

function plain(value: string): string {
  return /^[\w.:@/+*…-]+$/.test(value) ? value : JSON.stringify(value)
}

/**
 * Characters that steer a terminal (controls), turn the reading direction or show as nothing (Unicode's Format and
 * Default_Ignorable_Code_Point), have no agreed look, or are a blank or line end other than U+0020.
 */
const UNSEEN =
  /[\p{Control}\p{Format}\p{Default_Ignorable_Code_Point}\p{Surrogate}\p{Private_Use}\p{Unassigned}\p{Line_Separator}\p{Paragraph_Separator}]|(?! )\p{Space_Separator}/gu

/** Almost every text; the last one is what masked tokens have. */
const PLAIN = /^[\x20-\x7e\u2026]*$/

/**
 * `text` with the characters that a reader would not see, or not as they are, written as \uXXXX: one such escape per
 * UTF-16 code unit, as JSON has them, so that JSON text keeps its meaning. Nothing changes when it is applied again.
 */
export function visible(text: string): string {
  return PLAIN.test(text)
    ? text
    : text.replace(UNSEEN, character => character.split('').map(escapeOf).join(''))
}

function escapeOf(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** `a***@example.org`: enough to find a user one knows, too little to learn one. */
export function maskUser(user: string): string {
  const at = user.lastIndexOf('@')
  const [initial = ''] = at < 0 ? user : user.slice(0, at)
  return `${initial}***${at < 0 ? '' : user.slice(at)}`
}

/** The first 8 and the last 4 digits of a device token; of an account id likewise. */
export function maskToken(token: string): string {
  return token.length <= 12 ? `${token.slice(0, 4)}…` : `${token.slice(0, 8)}…${token.slice(-4)}`
}

/** Characters of a reason: causes beyond that are cut off. */
const MOST_REASON = 200

/**
 * A failure in one line: the message of an Error and of its causes, or the value itself. A cause that the message has
 * already is not repeated.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const message = error.message || (error as NodeJS.ErrnoException).code || error.name
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause
  // The errors of `apn` have a method of that name, and their message tells the cause already.
  if (inner === undefined || typeof inner === 'function') return message
  const cause = reasonOf(inner)
  const whole = message.includes(cause) ? message : `${message}: ${cause}`
  const most = Math.max(MOST_REASON, message.length)
  return whole.length <= most ? whole : `${whole.slice(0, most)}…`
}

/** By syslog's priority, which systemd's is too (sd-daemon(3)). The worse ones count as errors. */
const LEVELS: readonly Level[] = ['error', 'error', 'error', 'error', 'warn', 'notice', 'info', 'debug']

type Output = Pick<NodeJS.WriteStream, 'write'> & { readonly isTTY?: boolean }

/**
 * The log of a process of its own (`xaps serve`, the companion), one line per message: `<4>message key=value` for the journal
 * and our own supervisor, `warn message key=value` at a terminal; debug only with XAPS_DEBUG set.
 */
export function stderrLog(stream: Output = process.stderr, env: NodeJS.ProcessEnv = process.env): Log {
  return makeLog((level, message, fields) => {
    if (level === 'debug' && !env.XAPS_DEBUG) return
    const start = stream.isTTY ? `${level} ` : `<${LEVELS.lastIndexOf(level)}>`
    stream.write(`${start}${formatLine(message, fields)}\n`)
  })
}

/** Such a line read back: its level and the rest. A line without a priority was not written by a log: a warning. */
export function parseLogLine(line: string): { readonly level: Level; readonly text: string } {
  const level = /^<[0-7]>/.test(line) ? LEVELS[Number(line[1])] : undefined
  return level ? { level, text: line.slice(3) } : { level: 'warn', text: line }
}
