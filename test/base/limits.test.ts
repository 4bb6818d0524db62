import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EXIT_AFTER_MS, KILL_AFTER_MS, STAGES } from '../../plugins/xaps/base/limits.ts'

test('the stages of an end fit into what waits for the process, and that into what waits for its parent', () => {
  const sum = Object.values(STAGES).reduce((total, ms) => total + ms, 0)
  assert.ok(sum < EXIT_AFTER_MS, `${sum} ms`)
  assert.ok(EXIT_AFTER_MS < KILL_AFTER_MS)
})

test('requests in hand get longer than any answer takes, pushes the three seconds of docs/operations.md', () => {
  assert.ok(STAGES.listenersMs > 700)
  assert.equal(STAGES.pushesMs, 3_000)
})
