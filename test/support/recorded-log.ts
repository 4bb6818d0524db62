/** A log that a test can look into. */

export { noLog } from '../../plugins/xaps/base/log.ts'

import { type Fields, formatLine, type Level, type Log } from '../../plugins/xaps/base/log.ts'

export interface Line {
  readonly level: Level
  readonly message: string
  readonly fields: Fields
}

export interface RecordedLog extends Log {
  readonly lines: Line[]
  /** Messages at notice and above: an operator sees those by default. */
  loud(): string[]
}

export function recordedLog(): RecordedLog {
  const lines: Line[] = []
  const at =
    (level: Level) =>
    (message: string, fields: Fields = {}): void => {
      lines.push({ level, message, fields })
    }
  return {
    lines,
    loud: () =>
      lines.filter(isLoud).map(({ level, message, fields }) => `${level}: ${formatLine(message, fields)}`),
    debug: at('debug'),
    info: at('info'),
    notice: at('notice'),
    warn: at('warn'),
    error: at('error'),
  }
}

function isLoud({ level }: Line): boolean {
  return level !== 'debug' && level !== 'info'
}
