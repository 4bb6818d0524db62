import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TtlCache } from '../../plugins/xaps/base/ttl-cache.ts'

const still = (now: number) => ({ now: () => now, after: () => ({ cancel: () => undefined }) })

test('keeps an entry until its time is over', () => {
  let now = 0
  const kept = new TtlCache<string>(10, { ...still(0), now: () => now })
  kept.set('a', 'one', 100)
  now = 99
  assert.equal(kept.get('a'), 'one')
  now = 100
  assert.equal(kept.get('a'), undefined)
})

test('forgets the entry that was set longest ago when there are too many', () => {
  const kept = new TtlCache<number>(2, still(0))
  kept.set('a', 1, 100)
  kept.set('b', 2, 100)
  kept.set('a', 3, 100)
  kept.set('c', 4, 100)
  assert.deepEqual([kept.get('a'), kept.get('b'), kept.get('c')], [3, undefined, 4])
})
