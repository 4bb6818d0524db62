import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { forEachAtOnce, inBatches } from '../../plugins/xaps/base/batch.ts'
import { until } from '../support/wait.ts'

function collecting(everyMs: number, many = 1) {
  const batches: (readonly number[])[] = []
  return { batches, add: inBatches<number>({ everyMs, many }, batch => batches.push(batch)) }
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

test('only what comes when many have come just before waits', async () => {
  const { batches, add } = collecting(200, 4)
  for (const item of [1, 2, 3, 4, 5, 6]) {
    add(item)
    await setImmediate()
  }
  assert.deepEqual(batches, [[1], [2], [3], [4]])
  await until(() => batches.length === 5, 'the batch that waits')
  assert.deepEqual(batches[4], [5, 6])
})

async function* numbers(end: number, error?: Error) {
  for (let number = 1; number <= end; number++) yield number
  if (error) throw error
}

test('each item is worked on once, so many at a time', async () => {
  const done: number[] = []
  let underWay = 0
  let most = 0
  await forEachAtOnce(numbers(10), 3, async number => {
    most = Math.max(most, ++underWay)
    await setImmediate()
    underWay--
    done.push(number)
  })
  assert.deepEqual(
    done.sort((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  )
  assert.equal(most, 3)
})

test('an error of one item, or of the items, comes after the others are done', async () => {
  const done: number[] = []
  const work = async (number: number) => {
    await setImmediate()
    if (number === 2) throw new Error('the second')
    done.push(number)
  }
  await assert.rejects(forEachAtOnce([1, 2, 3, 4], 2, work), /the second/)
  assert.deepEqual(done, [1, 3, 4])
  await assert.rejects(forEachAtOnce(numbers(1, new Error('unreadable')), 2, work), /unreadable/)
  assert.deepEqual(done, [1, 3, 4, 1])
})
