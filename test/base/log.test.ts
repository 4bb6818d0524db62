import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  formatLine,
  maskToken,
  maskUser,
  parseLogLine,
  reasonOf,
  stderrLog,
  visible,
} from '../../plugins/xaps/base/log.ts'
import { harakaLog } from '../../plugins/xaps/haraka/plugin.ts'

test('a user is masked to the first character and the domain, a token to its first and last digits', () => {
  const users = ['alice@example.org', 'alice', '', '🙂mile@example.org']
  assert.deepEqual(users.map(maskUser), ['a***@example.org', 'a***', '***', '🙂***@example.org'])
  assert.equal(maskToken('0123456789abcdef0123456789abcdef'), '01234567…cdef')
  assert.equal(maskToken('0123456789'), '0123…')
})

test('fields follow the message as key=value, quoted where they are no plain word, and all is visible', () => {
  assert.equal(formatLine('said', { a: 1, b: 'two words', c: 'x@y' }), 'said a=1 b="two words" c=x@y')
  assert.equal(formatLine('a\u202eb', { c: 'd\u200be' }), 'a\\u202eb c="d\\u200be"')
})

/** One of each kind that a reader would not see, or not as it is, and how it is shown. */
const UNSEEN: readonly (readonly [kind: string, text: string, shown: string])[] = [
  ['an escape sequence', '\x1b[31m', '\\u001b[31m'],
  ['a line break', 'a\r\nb', 'a\\u000d\\u000ab'],
  ['a C1 control', '\x9b2J', '\\u009b2J'],
  ['a right-to-left override', 'a\u202egpj', 'a\\u202egpj'],
  ['an isolate', 'a\u2066b', 'a\\u2066b'],
  ['a zero-width space', 'a\u200bb', 'a\\u200bb'],
  ['a zero-width joiner', 'a\u200db', 'a\\u200db'],
  ['a byte order mark', '\ufeffa', '\\ufeffa'],
  ['a soft hyphen', 'a\u00adb', 'a\\u00adb'],
  ['a Hangul filler', 'a\u3164b', 'a\\u3164b'],
  ['a variation selector', 'a\ufe0fb', 'a\\ufe0fb'],
  ['a combining grapheme joiner', 'a\u034fb', 'a\\u034fb'],
  ['a no-break space', 'a\u00a0b', 'a\\u00a0b'],
  ['an ideographic space', 'a\u3000b', 'a\\u3000b'],
  ['a line separator', 'a\u2028b', 'a\\u2028b'],
  ['a paragraph separator', 'a\u2029b', 'a\\u2029b'],
  ['half a character', 'a\ud800b', 'a\\ud800b'],
  ['a character of private use', 'a\ue000b', 'a\\ue000b'],
  ['an unassigned character', 'a\u0378b', 'a\\u0378b'],
  ['a tag beyond the first plane', 'a\u{e0041}b', 'a\\udb40\\udc41b'],
]

for (const [kind, text, shown] of UNSEEN) {
  test(`${kind} is made visible`, () => assert.equal(visible(text), shown))
}

test('what is read as it is written stays', () => {
  for (const text of ['two words', 'Jürgen', 'e\u0301', '日本語', 'שלום', '🐌', 'back\\slash', '"…"'])
    assert.equal(visible(text), text)
})

test('JSON stays the same value, and visible text stays as it is', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...UNSEEN.map(([, unseen]) => unseen), '\\', '"', 'a') }),
  )
  fc.assert(
    fc.property(text, value => {
      const shown = visible(JSON.stringify({ value }))
      assert.deepEqual(JSON.parse(shown), { value })
      assert.equal(visible(shown), shown)
      for (const [, unseen] of UNSEEN) assert.ok(!shown.includes(unseen))
    }),
    { numRuns: 1000 },
  )
})

test('Haraka’s logger gets visible text: message, and every field that is text', () => {
  const got: unknown[] = []
  const keep = (...args: unknown[]) => void got.push(args)
  const log = harakaLog({ logdebug: keep, loginfo: keep, lognotice: keep, logwarn: keep, logerror: keep })
  log.warn('a\x1b[2Jb', { count: 2, name: 'c\u202ed' })
  log.info('plain')
  assert.deepEqual(got, [['a\\u001b[2Jb', { count: 2, name: 'c\\u202ed' }], ['plain']])
})

test('a reason is one line with its causes', () => {
  const inner = Object.assign(new Error(''), { code: 'ECONNREFUSED' })
  assert.equal(reasonOf(new Error('cannot connect', { cause: inner })), 'cannot connect: ECONNREFUSED')
  assert.equal(reasonOf(new AggregateError([inner], 'none worked')), 'none worked: ECONNREFUSED')
  assert.equal(reasonOf('text'), 'text')
})

test('a reason says nothing twice, and is bounded however long its causes are', () => {
  const full = new Error('no space left')
  const both = new AggregateError([full], 'no space left; the spool is full')
  assert.equal(
    reasonOf(new Error('try again', { cause: both })),
    'try again: no space left; the spool is full',
  )
  const long = new Error('cannot be written', { cause: new Error('x'.repeat(500)) })
  assert.match(reasonOf(new Error('try again', { cause: long })), /^try again: cannot be written: x+…$/)
  assert.equal(reasonOf(new Error('try again', { cause: long })).length, 201)
  assert.equal(reasonOf(new Error('a'.repeat(500))).length, 500, 'what we say ourselves is not cut')
})

function capture(isTTY: boolean, env: NodeJS.ProcessEnv = {}) {
  const lines: string[] = []
  const stream = { isTTY, write: (line: string | Uint8Array) => lines.push(String(line)) > 0 }
  return { lines, log: stderrLog(stream, env) }
}

test('on standard error a line has the priority that the journal reads, at a terminal the name of its level', () => {
  const journal = capture(false)
  journal.log.error('e', { key: 'value' })
  journal.log.warn('w')
  journal.log.notice('n')
  journal.log.info('first\r\n<6>second')
  const shown = 'first\\u000d\\u000a<6>second'
  assert.deepEqual(journal.lines, ['<3>e key=value\n', '<4>w\n', '<5>n\n', `<6>${shown}\n`])
  const terminal = capture(true)
  terminal.log.warn('w')
  assert.deepEqual(terminal.lines, ['warn w\n'])
})

test('debug lines are written only with XAPS_DEBUG set', () => {
  const [quiet, debugging] = [capture(false), capture(false, { XAPS_DEBUG: '1' })]
  for (const { log } of [quiet, debugging]) log.debug('d')
  assert.deepEqual([quiet.lines, debugging.lines], [[], ['<7>d\n']])
})

test('a line on standard error is read back with its level; one that has none is a warning', () => {
  for (const [line, level, text] of [
    ['<3>e', 'error', 'e'],
    ['<0>e', 'error', 'e'],
    ['<7>d', 'debug', 'd'],
    ['<8>x', 'warn', '<8>x'],
    ['at Object.<anonymous>', 'warn', 'at Object.<anonymous>'],
  ])
    assert.deepEqual(parseLogLine(line ?? ''), { level, text })
})
