/** A command on a pseudo-terminal of its own, by util-linux' script(1). */

import path from 'node:path'
import { type Ended, run } from '../e2e/run.ts'
import { missing } from './need.ts'
import { owned, type Scope } from './owned.ts'
import { tempDirectory } from './temp.ts'

export interface TerminalOptions {
  /** Columns of the terminal. Default: 80. */
  readonly columns?: number
  readonly env?: Readonly<Record<string, string>>
}

/** For a test's `skip`. */
export const missingTerminal = (): string | false => missing('script', 'stty')

/** Resolves when the command has ended; what it wrote to its terminal is the standard output, with \n as the line end. */
export async function onTerminal(
  scope: Scope,
  words: readonly string[],
  { columns = 80, env = {} }: TerminalOptions = {},
): Promise<Ended> {
  const typescript = path.join(owned(scope, tempDirectory()).path, 'typescript')
  const command = words.map(word => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
  // Not the colours that the terminal of the tests would have.
  const clean = { TERM: 'xterm-256color', COLORTERM: '', ...env }
  const args = ['-qec', `stty cols ${columns}; ${command}`, typescript]
  const ended = await run('script', args, { env: clean })
  return { ...ended, stdout: ended.stdout.replaceAll('\r\n', '\n') }
}
