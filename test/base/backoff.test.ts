import assert from 'node:assert/strict'
import test from 'node:test'
import { backoffMs, STANDARD_BACKOFF } from '../../plugins/xaps/base/backoff.ts'

test('waits double from half a second to 15 seconds', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 1_000_000].map(failures =>
    backoffMs(failures, STANDARD_BACKOFF, () => 1),
  )
  assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000])
})

test('jitter takes off up to half of a wait', () => {
  assert.equal(
    backoffMs(3, STANDARD_BACKOFF, () => 0),
    1_000,
  )
  for (let round = 0; round < 100; round += 1) {
    const wait = backoffMs(1, STANDARD_BACKOFF)
    assert.ok(wait >= 250 && wait <= 500, `${wait}`)
  }
})
