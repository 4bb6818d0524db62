/** Bytes → which of the formats it is, and its devices one after the other. */

import { BadFile, type Entry, type Format } from './format.ts'
import { go } from './go.ts'
import { own } from './own.ts'
import { python } from './python.ts'
import { readLines } from './read-lines.ts'
import { readObject } from './read-object.ts'

/** In this order: a user of a Go daemon may be called `accounts`, and then its database begins as Python's could. */
const FORMATS: readonly Format[] = [go, python, own]

/** Enough of a file to know it by, in bytes. */
const HEAD_BYTES = 64 * 1024

type Chunks = AsyncIterable<Buffer>

export interface Source {
  readonly format: Format
  /** Throws BadFile where the file cannot be read on. */
  readonly entries: AsyncGenerator<Entry>
}

/** Reads as far as needed to tell the format. Rejects with BadFile when it is none, and with what reading fails with. */
export async function openSource(chunks: Chunks): Promise<Source> {
  const { head, all } = await peek(chunks)
  const format = formatOf(head.toString())
  return { format, entries: format.layout === 'lines' ? readLines(all, format) : readObject(all, format) }
}

function formatOf(head: string): Format {
  const format = FORMATS.find(({ beginning }) => beginning.test(head))
  if (format) return format
  throw new BadFile('neither a database of the Python or a Go daemon nor an export of this command')
}

/** The first bytes, and all bytes from the first. */
async function peek(chunks: Chunks): Promise<{ head: Buffer; all: Chunks }> {
  const rest = chunks[Symbol.asyncIterator]()
  const read: Buffer[] = []
  let size = 0
  while (size < HEAD_BYTES) {
    const next = await rest.next()
    if (next.done) break
    read.push(next.value)
    size += next.value.length
  }
  return { head: Buffer.concat(read), all: chain(read, { [Symbol.asyncIterator]: () => rest }) }
}

async function* chain(first: readonly Buffer[], rest: Chunks): AsyncGenerator<Buffer> {
  yield* first
  yield* rest
}
