/** The devices of one big JSON object, read piece by piece: what has been read of it is never held. */

import { JSONParser, TokenType } from '@streamparser/json'
import { BadFile, type Entry, MAX_DEVICE_BYTES, type ObjectFormat } from './format.ts'

/** The databases have up to seven levels. The parser's work at each value grows with the depth. */
const MAX_DEPTH = 16

const STRING_BUFFER_BYTES = 64 * 1024

/** Throws BadFile when the object is damaged, cut off, or without a device for too long. */
export async function* readObject(
  chunks: AsyncIterable<Buffer>,
  { path, entry }: Pick<ObjectFormat, 'path' | 'entry'>,
): AsyncGenerator<Entry> {
  const found: Entry[] = []
  const parser = makeParser(path, (keys, value) => found.push(entry(keys, value)))
  let idle = 0
  for await (const chunk of chunks) {
    parser.write(chunk)
    idle = found.length > 0 ? 0 : idle + chunk.length
    if (idle > MAX_DEVICE_BYTES) throw new BadFile(`no device within ${MAX_DEVICE_BYTES} bytes`)
    yield* found.splice(0)
  }
  if (!parser.isComplete()) throw new BadFile('it ends in the middle, something is missing')
}

interface Parser {
  /** Throws BadFile. */
  write(chunk: Buffer): void
  isComplete(): boolean
}

/** A parser that calls back with each value at `path` and the keys that lead there, and keeps nothing else. */
function makeParser(
  path: readonly string[],
  onValue: (keys: readonly unknown[], value: unknown) => void,
): Parser {
  const parser = new JSONParser({
    paths: [['$', ...path].join('.')],
    keepStack: false,
    stringBufferSize: STRING_BUFFER_BYTES,
  })
  let offset = 0
  let depth = 0
  parser.onToken = token => {
    offset = token.offset
    depth += step(token.token)
    if (depth > MAX_DEPTH) throw new BadFile(`nested deeper than ${MAX_DEPTH} levels at byte ${offset}`)
  }
  parser.onValue = ({ value, key, stack }) => onValue([...stack.slice(1).map(above => above.key), key], value)
  return {
    write(chunk) {
      try {
        parser.write(chunk)
      } catch (error) {
        // The parser's own message quotes what it found.
        throw error instanceof BadFile ? error : new BadFile(`not valid JSON after byte ${offset}`)
      }
    },
    isComplete: () => parser.isEnded,
  }
}

function step(token: TokenType): number {
  if (token === TokenType.LEFT_BRACE || token === TokenType.LEFT_BRACKET) return 1
  return token === TokenType.RIGHT_BRACE || token === TokenType.RIGHT_BRACKET ? -1 : 0
}
