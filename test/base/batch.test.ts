import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { inBatches } from '../../plugins/xaps/base/batch.ts'
import { until } from '../support/wait.ts'

function collecting(everyMs: number) {
  const groups: (readonly number[])[] = []
  return { groups, add: inBatches<number>(everyMs, group => groups.push(group)) }
}

test('what comes in one turn of the event loop leaves together, in its order', async () => {
  const { groups, add } = collecting(60_000)
  for (const item of [1, 2, 3]) add(item)
  await setImmediate()
  assert.deepEqual(groups, [[1, 2, 3]])
})

test('what comes sooner after a group than the next may leave waits and leaves together', async () => {
  const { groups, add } = collecting(5)
  add(1)
  await until(() => groups.length === 1, 'the first group')
  for (const item of [2, 3]) {
    add(item)
    await setImmediate()
  }
  await until(() => groups.length === 2, 'the second group')
  assert.deepEqual(groups, [[1], [2, 3]])
})

test('what comes alone leaves at the end of its turn', async () => {
  const { groups, add } = collecting(1)
  add(1)
  await sleep(10)
  add(2)
  await setImmediate()
  assert.deepEqual(groups, [[1], [2]])
})
