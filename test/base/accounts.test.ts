import assert from 'node:assert/strict'
import { test } from 'node:test'
import { groupId, userId } from '../../plugins/xaps/base/accounts.ts'

test('finds users and groups by name, and takes numbers as they are', () => {
  assert.deepEqual([userId('root'), groupId('root'), userId('4711'), groupId('0')], [0, 0, 4711, 0])
  assert.ok(userId('nobody') > 0)
})

test('an account that is not there is named, with the file', () => {
  assert.throws(() => userId('no-such-user'), { message: 'no-such-user: no such user in /etc/passwd' })
  assert.throws(() => groupId('x'), { message: 'x: no such group in /etc/group' })
})
