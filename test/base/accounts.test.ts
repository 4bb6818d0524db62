import assert from 'node:assert/strict'
import { test } from 'node:test'
import { groupId, userId } from '../../plugins/xaps/base/accounts.ts'

test('finds users and groups by name', () => {
  assert.equal(userId('root'), 0)
  assert.equal(groupId('root'), 0)
  assert.ok(userId('nobody') > 0)
})

test('takes numbers as they are', () => {
  assert.equal(userId('4711'), 4711)
  assert.equal(groupId('0'), 0)
})

test('names who is not there, and the file', () => {
  assert.throws(() => userId('no-such-user'), { message: 'no-such-user: no such user in /etc/passwd' })
  assert.throws(() => groupId('x'), { message: 'x: no such group in /etc/group' })
})
