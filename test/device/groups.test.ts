import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { inGroups } from '../../plugins/xaps/device/groups.ts'
import { until } from '../support/wait.ts'

function collecting(everyMs: number) {
  const groups: (readonly number[])[] = []
  return { groups, add: inGroups<number>(everyMs, group => groups.push(group)) }
}

test('what comes in one turn of the event loop leaves together, in its order', async () => {
  const { groups, add } = collecting(60_000)
  for (const item of [1, 2, 3]) add(item)
  await setImmediate()
  assert.deepEqual(groups, [[1, 2, 3]])
})

test('few at a time leave turn by turn, without waiting', async () => {
  const { groups, add } = collecting(60_000)
  for (const item of [1, 2, 3]) {
    add(item)
    await setImmediate()
  }
  assert.deepEqual(groups, [[1], [2], [3]])
})

test('in a rush what comes after a group waits and leaves together', async () => {
  const { groups, add } = collecting(5)
  const first = [1, 2, 3, 4, 5, 6]
  for (const item of first) add(item)
  await until(() => groups.length === 1, 'the first group')
  for (const item of [7, 8]) add(item)
  add(9)
  await until(() => groups.length === 2, 'the second group')
  assert.deepEqual(groups, [first, [7, 8, 9]])
})
