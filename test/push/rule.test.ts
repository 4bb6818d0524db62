import assert from 'node:assert/strict'
import test from 'node:test'
import { NO_MAILS } from '../../plugins/xaps/observe/observer.ts'
import { type Batch, batchOf, covers, merge } from '../../plugins/xaps/push/rule.ts'

const RULE = { windowMs: 5_000, changeDelayMs: 30_000 }

/** Of a batch, the times that the rule is about. */
const timesOf = ({ newest, due }: Batch) => ({ newest, due })

test('new mail is due at once, a change after change_delay', () => {
  assert.deepEqual(timesOf(batchOf({ kind: 'new', at: 1_000 }, RULE)), { newest: 1_000, due: 1_000 })
  assert.deepEqual(timesOf(batchOf({ kind: 'change', at: 1_000 }, RULE)), { newest: 1_000, due: 31_000 })
})

test('two batches are one push, for the newest event of both and as soon as the first is due', () => {
  const change = batchOf({ kind: 'change', at: 1_000 }, RULE)
  const mail = batchOf({ kind: 'new', at: 2_000 }, RULE)
  assert.deepEqual(timesOf(merge(change, mail)), { newest: 2_000, due: 2_000 })
  assert.deepEqual(merge(mail, change), merge(change, mail))
  assert.deepEqual(timesOf(merge(mail, batchOf({ kind: 'change', at: 3_000 }, RULE))), {
    newest: 3_000,
    due: 2_000,
  })
  assert.deepEqual(merge(undefined, mail), mail)
})

test('a batch names its mails, the first eight, and knows the oldest; what was decided is fresh no longer', () => {
  const mails = Array.from({ length: 10 }, (_, index) =>
    batchOf({ kind: 'new', at: 1_000 + index, mail: `mail${index}` }, RULE),
  )
  const decided = { ...batchOf({ kind: 'change', at: 1 }, RULE), fresh: NO_MAILS }
  const batch = [...mails, decided].reduce<Batch | undefined>(merge, undefined)
  const names = ['mail0', 'mail1', 'mail2', 'mail3', 'mail4', 'mail5', 'mail6', 'mail7']
  assert.equal(batch?.mailAt, 1_000)
  assert.deepEqual(batch?.mails, { count: 11, names })
  assert.deepEqual(batch?.fresh, { count: 10, names })
})

test('a push covers what came in before it and in the moment of its start, and nothing later', () => {
  assert.deepEqual(
    [999, 1_000, 1_001].map(at => covers(1_000, at)),
    [true, true, false],
  )
})
