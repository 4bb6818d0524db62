/** Tables: widths, and what is done with text that does not fit. */

import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { bold, dim, fail, lineOn, ok, warn } from '../../plugins/xaps/cli/style.ts'
import { type Column, cut, tableLines, widthOf } from '../../plugins/xaps/cli/table.ts'

test('a text is as wide as a terminal shows it', () => {
  for (const [text, width] of [
    ['', 0],
    ['alice', 5],
    ['zoë', 3],
    ['zoe\u0308', 3],
    ['メール', 6],
    ['ﾒｰﾙ', 3],
    ['한글', 4],
    ['漢a字', 5],
    ['📬', 2],
    ['ﬀ…', 2],
  ] as const)
    assert.equal(widthOf(text), width, text)
})

test('a text that is cut keeps its beginning and its end', () => {
  assert.equal(cut('alice@example.org', 17), 'alice@example.org')
  assert.equal(cut('alice@example.org', 10), 'alice….org')
  assert.equal(cut('漢字漢字漢字', 6), '漢…字')
  assert.equal(cut('alice', 1), '…')
})

const COLUMNS: readonly Column[] = [
  { title: 'A', least: 5, rank: 0 },
  { title: 'LONG', least: 30, rank: 2 },
  { title: 'B', least: 8, rank: 1 },
]

async function linesOf(rows: readonly (readonly string[])[], width: number): Promise<string[]> {
  async function* given() {
    yield* rows
  }
  const lines: string[] = []
  for await (const line of tableLines(new PassThrough(), width, COLUMNS, given())) lines.push(line)
  return lines
}

test('columns have the widths of their texts, none without text, and no line without rows', async () => {
  assert.deepEqual(await linesOf([], 80), [])
  assert.deepEqual(
    await linesOf(
      [
        ['漢', '', 'x'],
        ['abc', '', ''],
      ],
      80,
    ),
    ['A    B', '漢   x', 'abc  '],
  )
})

test('the column of the lowest rank keeps its text where there is little room', async () => {
  const row = ['a'.repeat(20), 'l'.repeat(30), 'b'.repeat(20)]
  assert.deepEqual((await linesOf([row], 46))[1], `${row[0]}  ${row[2]}`)
  assert.deepEqual((await linesOf([row], 40))[1], `${row[0]}  bbbbbbbbb…bbbbbbbb`)
  assert.deepEqual((await linesOf([row], 76))[1], row.join('  '))
})

test('no line is wider than the terminal, whatever the texts are', async () => {
  const rows = fc.array(
    fc.tuple(fc.string(), fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' })),
    {
      maxLength: 150,
    },
  )
  await fc.assert(
    fc.asyncProperty(rows, fc.integer({ min: 40, max: 120 }), async (given, width) => {
      for (const line of await linesOf(given, width)) assert.ok(widthOf(line) <= width, line)
    }),
  )
})

test('later rows are cut to the widths of the first', async () => {
  const rows = [...Array.from({ length: 100 }, () => ['abc', '', 'x']), ['abcdefghij', '', 'y']]
  assert.equal((await linesOf(rows, 80)).at(-1), 'a…j  y')
})

test('a style is the text alone where there are no colours, and no text brings colours along', () => {
  const pipe = new PassThrough()
  const styles = [ok, warn, fail, dim, bold]
  assert.equal(
    lineOn(
      pipe,
      styles.map(style => style('x')),
    ),
    'xxxxx',
  )
  assert.equal(`${fail('FAIL')}`, 'FAIL')
  const terminal = Object.assign(new PassThrough(), { isTTY: true, getColorDepth: () => 8 })
  assert.equal(lineOn(terminal, [warn('a\x1b[0m'), '\x1b[31m']), '\x1b[33ma\\u001b[0m\x1b[39m\\u001b[31m')
})
