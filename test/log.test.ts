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

test('a reason says nothing twice, and is bounded however long its causes are', () => {
  const full = new Error('no space left')
  const both = new AggregateError([full], 'no space left; the spool is full')
  assert.equal(
    reasonOf(new Error('try again', { cause: both })),
    'try again: no space left; the spool is full',
  )
  const long = new Error('cannot be written', { cause: new Error('x'.repeat(500)) })
  assert.match(reasonOf(new Error('try again', { cause: long })), /^try again: cannot be written: x+…$/)
  assert.equal(reasonOf(new Error('try again', { cause: long })).length, 201)
  assert.equal(reasonOf(new Error('a'.repeat(500))).length, 500, 'what we say ourselves is not cut')
})
