import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseLogLine, stderrLog } from '../../plugins/xaps/base/stderr-log.ts'

function capture(isTTY: boolean, env: NodeJS.ProcessEnv = {}) {
  const lines: string[] = []
  const stream = { isTTY, write: (line: string | Uint8Array) => lines.push(String(line)) > 0 }
  return { lines, log: stderrLog(stream, env) }
}

test('writes the priority that the journal reads', () => {
  const { lines, log } = capture(false)
  log.error('e', { key: 'value' })
  log.warn('w')
  log.notice('n')
  log.info('i')
  assert.deepEqual(lines, ['<3>e key=value\n', '<4>w\n', '<5>n\n', '<6>i\n'])
})

test('writes the name of the level on a terminal', () => {
  const { lines, log } = capture(true)
  log.warn('w')
  assert.deepEqual(lines, ['warn w\n'])
})

test('writes debug lines only with XAPS_DEBUG set', () => {
  const quiet = capture(false)
  quiet.log.debug('d')
  assert.deepEqual(quiet.lines, [])
  const chatty = capture(false, { XAPS_DEBUG: '1' })
  chatty.log.debug('d')
  assert.deepEqual(chatty.lines, ['<7>d\n'])
})

test('keeps a message on one line', () => {
  const { lines, log } = capture(false)
  log.error('first\r\n<6>second')
  assert.deepEqual(lines, ['<3>first\\u000d\\u000a<6>second\n'])
})

test('is read back with its level; what has none is a warning', () => {
  assert.deepEqual(parseLogLine('<3>e'), { level: 'error', text: 'e' })
  assert.deepEqual(parseLogLine('<0>e'), { level: 'error', text: 'e' })
  assert.deepEqual(parseLogLine('<7>d'), { level: 'debug', text: 'd' })
  assert.deepEqual(parseLogLine('<8>x'), { level: 'warn', text: '<8>x' })
  assert.deepEqual(parseLogLine('at Object.<anonymous>'), { level: 'warn', text: 'at Object.<anonymous>' })
})
