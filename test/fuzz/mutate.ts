/** Structure-aware damage: a request → a request that is nearly one. */

import type { Random } from './random.ts'

type Mutation = (input: Buffer, random: Random, corpus: readonly Buffer[]) => Buffer

/** No mutated input is longer, in bytes: repetition must not make the run slow. */
const MAX_BYTES = 64 * 1024

/** Text that parsers trip over: structure of both protocols, escapes, line ends, halves of characters. */
const MORSELS: readonly Buffer[] = [
  ...['"', '\\', "'", '\\"', '\\\\', '\\n', '""', '\t', ' ', ',', '=', ':', '(', ')', '()', '("")', '{', '}'],
  ...['[', ']', '[]', '{}', 'null', '1e999', '-0', '\r\n', '\r', '\n', '\0', '\x7f', '\u0085', '\u2028'],
  ...[
    '\ufeff',
    '\u0000',
    '\\u0000',
    '\\ud800',
    '\\u000a',
    '&AA0ACg-',
    '&APw-',
    '&-',
    '&',
    '%0d%0a',
    '../../',
  ],
  ...['__proto__', 'constructor', '"__proto__":{}', ',"Username":"x"', '\tdovecot-username="x"'],
  ...['\tevents=("MessageNew")', '\r\nREGISTER ', '\r\nNOTIFY ', 'INBOX', 'inbox', '🐌'],
]
  .map(text => Buffer.from(text))
  .concat(
    [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf0, 0x9f], [0xe2, 0x80]].map(bytes => Buffer.from(bytes)),
  )

const mutations: readonly Mutation[] = [
  function flipBit(input, random) {
    const copy = Buffer.from(input)
    const at = random.below(copy.length)
    if (copy.length > 0) copy.writeUInt8(copy.readUInt8(at) ^ (1 << random.below(8)), at)
    return copy
  },
  function setByte(input, random) {
    const [start] = range(input, random)
    return replace(input, start, start + 1, Buffer.from([random.below(256)]))
  },
  function insertMorsel(input, random) {
    const [start] = range(input, random)
    return replace(input, start, start, random.pick(MORSELS))
  },
  function replaceByMorsel(input, random) {
    return replace(input, ...range(input, random, 8), random.pick(MORSELS))
  },
  function deleteSlice(input, random) {
    return replace(input, ...range(input, random), Buffer.alloc(0))
  },
  function duplicateSlice(input, random) {
    const [start, end] = range(input, random)
    return replace(input, start, start, input.subarray(start, end))
  },
  function moveSlice(input, random) {
    const [start, end] = range(input, random)
    const rest = replace(input, start, end, Buffer.alloc(0))
    const at = random.below(rest.length + 1)
    return replace(rest, at, at, input.subarray(start, end))
  },
  function repeatSlice(input, random) {
    const [start, end] = range(input, random, 8)
    const times = random.pick([2, 10, 10, 100, 100, 1000])
    return replace(input, start, start, Buffer.alloc((end - start) * times, input.subarray(start, end)))
  },
  function spliceOther(input, random, corpus) {
    const other = random.pick(corpus)
    return replace(input, ...range(input, random), other.subarray(...range(other, random)))
  },
  function truncate(input, random) {
    return input.subarray(0, random.below(input.length + 1))
  },
  function shufflePairs(input, random) {
    return rearrange(input, random, pairs => pairs.reverse())
  },
  function duplicatePair(input, random) {
    return rearrange(input, random, pairs => [...pairs, random.pick(pairs)])
  },
  function dropPair(input, random) {
    return rearrange(input, random, pairs => pairs.toSpliced(random.below(pairs.length), 1))
  },
  function splicePair(input, random, corpus) {
    return rearrange(input, random, (pairs, separator) => [
      ...pairs,
      random.pick(random.pick(corpus).toString('latin1').split(separator)),
    ])
  },
  function changeEncoding(input, random) {
    const [from, to] = random.pick([
      ['latin1', 'utf8'],
      ['utf8', 'latin1'],
      ['utf8', 'utf16le'],
    ] as const)
    const [start, end] = range(input, random)
    return replace(input, start, end, Buffer.from(input.toString(from, start, end), to))
  },
  function escapeSlice(input, random) {
    const [start, end] = range(input, random, 16)
    const inEscapes = random.pick([jsonEscape, (byte: number) => `\\${String.fromCharCode(byte)}`])
    return replace(
      input,
      start,
      end,
      Buffer.from([...input.subarray(start, end)].map(inEscapes).join(''), 'latin1'),
    )
  },
]

/** One to four mutations of `input`, one as often as not: two rarely leave a valid request. */
export function mutate(input: Buffer, random: Random, corpus: readonly Buffer[]): Buffer {
  let mutated = input
  for (let rounds = random.pick([1, 1, 1, 2, 3, 4]); rounds > 0; rounds -= 1) {
    mutated = random.pick(mutations)(mutated, random, corpus).subarray(0, MAX_BYTES)
  }
  return mutated
}

/** A part of the input, of at most `longest` bytes. */
function range(input: Buffer, random: Random, longest = 64): [start: number, end: number] {
  const start = random.below(input.length + 1)
  return [start, Math.min(start + random.below(longest + 1), input.length)]
}

function replace(input: Buffer, start: number, end: number, middle: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, start), middle, input.subarray(end)])
}

/** Cuts where pairs or items meet, lets `change` work on the pieces, and joins them again. */
function rearrange(
  input: Buffer,
  random: Random,
  change: (pieces: string[], separator: string) => string[],
): Buffer {
  const separator = random.pick(['\t', ',', ':', '"'])
  return Buffer.from(change(input.toString('latin1').split(separator), separator).join(separator), 'latin1')
}

function jsonEscape(byte: number): string {
  return `\\u${byte.toString(16).padStart(4, '0')}`
}
