import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Cells, swapper } from '../../plugins/xaps/device/swap.ts'
import { turns } from '../../plugins/xaps/device/turns.ts'

/** Texts in memory, that `meddle` changes between a load and the replace that follows it. */
function cells(meddle: (texts: Map<string, string>) => void = () => undefined) {
  const texts = new Map<string, string>()
  let writes = 0
  const store: Cells<string | undefined> = {
    async load(key) {
      return { text: texts.get(key), version: texts.get(key) }
    },
    async replace(key, version, text) {
      meddle(texts)
      if (texts.get(key) !== version) return false
      writes++
      if (text === undefined) texts.delete(key)
      else texts.set(key, text)
      return true
    },
  }
  return { store, texts, writes: () => writes }
}

const soon = () => Date.now() + 10_000
const count = (text: string | undefined) => String(Number(text ?? 0) + 1)

test('runs the change again on what another has written meanwhile', async () => {
  let meddlings = 3
  const { store, texts } = cells(texts => {
    if (meddlings-- > 0) texts.set('key', count(texts.get('key')))
  })
  await swapper(store)('key', count, soon())
  assert.equal(texts.get('key'), '4')
})

test('many changes under one key all happen', async () => {
  const { store, texts } = cells()
  const swap = swapper(store)
  await Promise.all(Array.from({ length: 100 }, () => swap('key', count, soon())))
  assert.equal(texts.get('key'), '100')
})

test('a change that changes nothing writes nothing, one to undefined removes', async () => {
  const { store, texts, writes } = cells()
  const swap = swapper(store)
  await swap('key', text => text, soon())
  assert.equal(writes(), 0)
  await swap('key', count, soon())
  await swap('key', () => undefined, soon())
  assert.equal(texts.size, 0)
})

test('gives up when the time is over, and then does not change anything', async () => {
  let n = 0
  const { store } = cells(texts => texts.set('key', `other ${n++}`))
  await assert.rejects(swapper(store)('key', count, Date.now() + 20), /no time/)
  const { store: untouched, writes } = cells()
  await assert.rejects(swapper(untouched)('key', count, Date.now() - 1), /no time/)
  assert.equal(writes(), 0)
})

test('one that fails does not hold up the next of the same name', async () => {
  const inTurn = turns()
  const order: string[] = []
  const first = inTurn('a', async () => {
    await new Promise(setImmediate)
    order.push('first')
    throw new Error('failed')
  })
  const second = inTurn('a', async () => void order.push('second'))
  const other = inTurn('b', async () => void order.push('other'))
  await assert.rejects(first, /failed/)
  await Promise.all([second, other])
  assert.deepEqual(order, ['other', 'first', 'second'])
})
