/** Standard output: as many lines as its reader takes, and what follows when it takes no more. */

import { createWriteStream, fstatSync } from 'node:fs'
import type { Writable } from 'node:stream'

/**
 * Standard output for what must be whole. Node's own writes to a file once, and takes it for written when a full disk has
 * taken half of it.
 */
export function wholeOutput(): Writable {
  const { fd } = process.stdout
  if (!fstatSync(fd).isFile()) return process.stdout
  // Each write is told of its failure; the event is the same once more.
  return createWriteStream('', { fd, autoClose: false }).on('error', () => undefined)
}

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
 * Returns a function that waits for what has been written, and resolves with the first failure of standard output, if any.
 */
export function watchOutput(): () => Promise<Error | undefined> {
  let failure: Error | undefined
  process.stdout.on('error', error => {
    failure ??= error
  })
  // There is no place left to tell it.
  process.stderr.on('error', () => undefined)
  return async () => {
    await new Promise<void>(resolve => {
      process.stdout.write('', () => resolve())
    })
    return failure
  }
}
