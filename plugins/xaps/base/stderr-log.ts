/**
 * The log of a process of its own (`xaps serve`, the companion): lines on standard error. The journal and our own
 * supervisor read the syslog priority at their start; a person at a terminal reads the name of the level.
 */

import { type Fields, formatLine, type Level, type Log } from './log.ts'

/** Syslog's priorities, which are systemd's too (sd-daemon(3)). */
const PRIORITY: Readonly<Record<Level, number>> = { error: 3, warn: 4, notice: 5, info: 6, debug: 7 }

type Output = Pick<NodeJS.WriteStream, 'write'> & { readonly isTTY?: boolean }

/** Writes one line per message, `<4>message key=value` or `warn message key=value`; debug only with XAPS_DEBUG set. */
export function stderrLog(stream: Output = process.stderr, env: NodeJS.ProcessEnv = process.env): Log {
  const write = (level: Level) => (message: string, fields?: Fields) => {
    const start = stream.isTTY ? `${level} ` : `<${PRIORITY[level]}>`
    stream.write(`${start}${formatLine(message, fields)}\n`)
  }
  return {
    debug: env.XAPS_DEBUG ? write('debug') : () => undefined,
    info: write('info'),
    notice: write('notice'),
    warn: write('warn'),
    error: write('error'),
  }
}

const LEVELS: readonly Level[] = ['error', 'error', 'error', 'error', 'warn', 'notice', 'info', 'debug']

/** Such a line read back: its level and the rest. A line without a priority was not written by a log: a warning. */
export function parseLogLine(line: string): { readonly level: Level; readonly text: string } {
  const level = /^<[0-7]>/.test(line) ? LEVELS[Number(line[1])] : undefined
  return level ? { level, text: line.slice(3) } : { level: 'warn', text: line }
}
