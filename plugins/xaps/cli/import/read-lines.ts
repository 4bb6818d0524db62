/**
 * The devices of a file of JSON lines. Lines end at LF only: node:readline also breaks them at U+2028 and U+2029,
 * which may stand in a mailbox name, and holds a line of any length.
 */

import { BadFile, type Entry, type LinesFormat, MAX_DEVICE_BYTES } from './format.ts'

const LF = 0x0a

/** Throws BadFile at a line that is no JSON. Blank lines count for nothing. */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
  { entry }: Pick<LinesFormat, 'entry'>,
): AsyncGenerator<Entry> {
  let number = 0
  for await (const line of splitLines(chunks)) {
    number += 1
    const text = number === 1 ? line.replace(/^\uFEFF/, '') : line
    if (text.trim() !== '') yield entry(parse(text, number))
  }
}

function parse(line: string, number: number): unknown {
  try {
    return JSON.parse(line)
  } catch (error) {
    if (error instanceof SyntaxError) throw new BadFile(`line ${number} is not valid JSON`)
    throw error
  }
}

/** The lines of a UTF-8 text without their ends, the last one also when it has none. Throws BadFile. */
async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      yield Buffer.concat([...parts, chunk.subarray(start, end)]).toString()
      parts = []
      size = 0
      start = end + 1
    }
    parts.push(chunk.subarray(start))
    size += chunk.length - start
    if (size > MAX_DEVICE_BYTES) throw new BadFile(`a line is longer than ${MAX_DEVICE_BYTES} bytes`)
  }
  yield Buffer.concat(parts).toString()
}
