/** Standard output: as many lines as its reader takes, and what follows when it takes no more. */

import type { Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'

/** Lines are written in pieces of about so many characters. */
const PIECE = 64 * 1024

/**
 * Writes lines, of which there may be a million, as fast as `output` takes them: no more is read ahead. Resolves with their
 * number, and leaves `output` open. Rejects with a failure of `lines` when those before it have been written.
 */
export async function writeLines(output: Writable, lines: AsyncIterable<string>): Promise<number> {
  let piece = ''
  let count = 0
  const flush = async () => {
    const full = piece
    piece = ''
    await new Promise<void>((resolve, reject) => {
      output.write(full, error => (error ? reject(error) : resolve()))
    })
    // A file takes all at once; between its pieces signals are noticed.
    await setImmediate()
  }
  try {
    for await (const line of lines) {
      piece += `${line}\n`
      count += 1
      if (piece.length >= PIECE) await flush()
    }
  } finally {
    if (piece !== '') await flush()
  }
  return count
}

/** Whether the reader of a pipe has left, as `head` does: it has what it wanted, and nothing is wrong. */
export function isReaderGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'EPIPE'
}

/**
 * From now on a failure to write to standard output or standard error ends nothing by itself: what was begun is done.
 * Returns a function that tells the first failure of standard output, if any.
 */
export function watchOutput(): () => Error | undefined {
  let failure: Error | undefined
  process.stdout.on('error', error => {
    failure ??= error
  })
  // There is no place left to tell it.
  process.stderr.on('error', () => undefined)
  return () => failure
}
