/** A stream → its lines, in bounded memory. */

import type { Readable } from 'node:stream'

/** Characters; what a longer line has more is dropped. */
const LONGEST_LINE = 8 * 1024

/**
 * Calls `onLine` with each line that is not empty, without its end and cut to `longest` characters; a last one without an
 * end counts.
 */
export function eachLine(stream: Readable, onLine: (line: string) => void, longest = LONGEST_LINE): void {
  let rest = ''
  const emit = (line: string) => {
    if (line !== '') onLine(line)
  }
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    const [first = '', ...lines] = chunk.split('\n')
    rest = (rest + first).slice(0, longest)
    for (const line of lines) {
      emit(rest)
      rest = line.slice(0, longest)
    }
  })
  stream.on('end', () => emit(rest))
  // A pipe that breaks ends with its process, which is noticed elsewhere.
  stream.on('error', () => undefined)
}
