import assert from 'node:assert/strict'
import test from 'node:test'
import { batchOf, covers, merge } from '../../plugins/xaps/push/rule.ts'

const RULE = { windowMs: 5_000, changeDelayMs: 30_000 }

test('new mail is due at once, a change after change_delay', () => {
  assert.deepEqual(batchOf({ kind: 'new', at: 1_000 }, RULE), { newest: 1_000, due: 1_000 })
  assert.deepEqual(batchOf({ kind: 'change', at: 1_000 }, RULE), { newest: 1_000, due: 31_000 })
})

test('two batches are one push, for the newest event of both and as soon as the first is due', () => {
  const change = batchOf({ kind: 'change', at: 1_000 }, RULE)
  const mail = batchOf({ kind: 'new', at: 2_000 }, RULE)
  assert.deepEqual(merge(change, mail), { newest: 2_000, due: 2_000 })
  assert.deepEqual(merge(mail, change), merge(change, mail))
  assert.deepEqual(merge(mail, batchOf({ kind: 'change', at: 3_000 }, RULE)), { newest: 3_000, due: 2_000 })
  assert.deepEqual(merge(undefined, mail), mail)
})

test('a push covers what came in before it and in the moment of its start, and nothing later', () => {
  assert.deepEqual(
    [999, 1_000, 1_001].map(at => covers(1_000, at)),
    [true, true, false],
  )
})
