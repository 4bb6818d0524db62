import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { inBatches } from '../../plugins/xaps/base/batch.ts'
import { until } from '../support/wait.ts'

function collecting(everyMs: number) {
  const batches: (readonly number[])[] = []
  return { batches, add: inBatches<number>(everyMs, batch => batches.push(batch)) }
}

test('what comes in one turn of the event loop leaves together, in its order', async () => {
  const { batches, add } = collecting(60_000)
  for (const item of [1, 2, 3]) add(item)
  await setImmediate()
  assert.deepEqual(batches, [[1, 2, 3]])
})

test('what comes sooner after a batch than the next may leave waits and leaves together', async () => {
  const { batches, add } = collecting(100)
  add(1)
  await until(() => batches.length === 1, 'the first batch')
  for (const item of [2, 3]) {
    add(item)
    await setImmediate()
  }
  await until(() => batches.length === 2, 'the second batch')
  assert.deepEqual(batches, [[1], [2, 3]])
})

test('what comes alone leaves at the end of its turn', async () => {
  const { batches, add } = collecting(1)
  add(1)
  await sleep(10)
  add(2)
  await setImmediate()
  assert.deepEqual(batches, [[1], [2]])
})
