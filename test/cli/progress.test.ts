import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { openProgress } from '../../plugins/xaps/cli/progress.ts'

/** What a command shows that handles 7 devices in one of two megabytes, and skips one. */
function shown(terminal: boolean, total: number | undefined): string {
  const stream = Object.assign(new PassThrough(), {
    isTTY: terminal,
    columns: 80,
  }) as unknown as PassThrough & NodeJS.WriteStream
  const progress = openProgress(total, stream)
  progress.advance(1_000_000, 7)
  progress.note('skipped one')
  progress.stop()
  progress.stop()
  return String(stream.read())
}

test('a terminal sees how much is done, and lines beside it', () => {
  const text = shown(true, 2_000_000)
  assert.match(text, /50 %/)
  assert.match(text, /7 devices/)
  assert.ok(text.includes('\r\u001b[Kskipped one\n'))
})

test('without a known size a terminal sees the devices counted', () => {
  const text = shown(true, undefined)
  assert.match(text, /7 devices/)
  assert.doesNotMatch(text, /%/)
})

test('what could steer the terminal in a line is made visible', () => {
  const stream = Object.assign(new PassThrough(), { isTTY: false }) as unknown as PassThrough &
    NodeJS.WriteStream
  openProgress(undefined, stream).note('skipped b\u001b[2Job\u202e')
  assert.equal(String(stream.read()), 'skipped b\\u001b[2Job\\u202e\n')
})

test('what is no terminal gets the lines only', () => {
  assert.equal(shown(false, 2_000_000), 'skipped one\n')
})
