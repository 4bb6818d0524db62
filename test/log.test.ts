import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatLine, maskToken, maskUser, reasonOf } from '../plugins/xaps/log.ts'

test('a user is masked to the first character and the domain', () => {
  assert.equal(maskUser('alice@example.org'), 'a***@example.org')
  assert.equal(maskUser('alice'), 'a***')
  assert.equal(maskUser(''), '***')
  assert.equal(maskUser('🙂mile@example.org'), '🙂***@example.org')
})

test('a token is masked to its first eight and last four digits, a short one further', () => {
  assert.equal(maskToken('0123456789abcdef0123456789abcdef'), '01234567…cdef')
  assert.equal(maskToken('0123456789'), '0123…')
})

test('fields follow the message as key=value, quoted where they are no plain word', () => {
  assert.equal(formatLine('said', { a: 1, b: 'two words', c: 'x@y' }), 'said a=1 b="two words" c=x@y')
})

test('a reason is one line with its causes', () => {
  const inner = Object.assign(new Error(''), { code: 'ECONNREFUSED' })
  assert.equal(reasonOf(new Error('cannot connect', { cause: inner })), 'cannot connect: ECONNREFUSED')
  assert.equal(reasonOf(new AggregateError([inner], 'none worked')), 'none worked: ECONNREFUSED')
  assert.equal(reasonOf('text'), 'text')
})
