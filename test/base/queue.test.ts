import assert from 'node:assert/strict'
import test from 'node:test'
import { Queue } from '../../plugins/xaps/base/queue.ts'

test('what went in first comes out first', () => {
  const queue = new Queue<number>()
  for (let item = 0; item < 5; item += 1) queue.push(item)
  assert.deepEqual([queue.shift(), queue.shift()], [0, 1])
  queue.push(5)
  assert.deepEqual([queue.shift(), queue.shift(), queue.shift(), queue.shift()], [2, 3, 4, 5])
})

test('an empty queue gives nothing and stays usable', () => {
  const queue = new Queue<string>()
  assert.equal(queue.shift(), undefined)
  assert.equal(queue.size, 0)
  queue.push('item')
  assert.equal(queue.size, 1)
  assert.equal(queue.shift(), 'item')
})

test('the order holds over thousands of items, added and taken by turns', () => {
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
