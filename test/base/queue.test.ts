import assert from 'node:assert/strict'
import test from 'node:test'
import { Queue } from '../../plugins/xaps/base/queue.ts'

test('an empty queue gives nothing and stays usable', () => {
  const queue = new Queue<string>()
  assert.deepEqual([queue.shift(), queue.size], [undefined, 0])
  queue.push('item')
  assert.deepEqual([queue.size, queue.shift()], [1, 'item'])
})

test('the first in is the first out, over thousands of items added and taken by turns', () => {
  const queue = new Queue<number>()
  let added = 0
  let taken = 0
  for (let round = 0; round < 1000; round += 1) {
    for (let count = 0; count < 7; count += 1) queue.push(added++)
    for (let count = 0; count < 5; count += 1) assert.equal(queue.shift(), taken++)
  }
  assert.equal(queue.size, added - taken)
  while (queue.size > 0) assert.equal(queue.shift(), taken++)
  assert.equal(taken, added)
})
