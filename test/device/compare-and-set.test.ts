import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareAndSetOver, type Entries } from '../../plugins/xaps/device/compare-and-set.ts'

/** Texts in memory, that `meddle` changes between a load and the replace that follows it. */
function entries(meddle: (texts: Map<string, string>) => void = () => undefined) {
  const texts = new Map<string, string>()
  let writes = 0
  const store: Entries<string | undefined, string | undefined> = {
    async load(key) {
      return { value: texts.get(key), version: texts.get(key) }
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

test('runs the change again on a value that another has written meanwhile', async () => {
  let meddlings = 3
  const { store, texts } = entries(texts => {
    if (meddlings-- > 0) texts.set('key', count(texts.get('key')))
  })
  await compareAndSetOver(store)('key', count, soon())
  assert.equal(texts.get('key'), '4')
})

test('many changes under one key all happen, in their order, and are written together', async () => {
  const { store, texts, writes } = entries()
  const compareAndSet = compareAndSetOver(store)
  const add = (letter: string) => compareAndSet('key', text => (text ?? '') + letter, soon())
  await Promise.all([...'abcdefghij'].map(add))
  assert.equal(texts.get('key'), 'abcdefghij')
  assert.equal(writes(), 1)
})

test('changes that come while another is written are made next, all together', async () => {
  const later: Array<Promise<void>> = []
  const { store, texts, writes } = entries(() => {
    if (later.length === 0) for (let n = 0; n < 5; n++) later.push(compareAndSet('key', count, soon()))
  })
  const compareAndSet = compareAndSetOver(store)
  await compareAndSet('key', count, soon())
  assert.equal(texts.get('key'), '1')
  await Promise.all(later)
  assert.deepEqual([texts.get('key'), writes()], ['6', 2])
})

test('a change that throws rejects alone, and is as if it had not been there', async () => {
  const { store, texts, writes } = entries()
  const compareAndSet = compareAndSetOver(store)
  const [first, broken, last] = await Promise.allSettled([
    compareAndSet('key', count, soon()),
    compareAndSet('key', () => assert.fail('no such change'), soon()),
    compareAndSet('key', count, soon()),
  ])
  assert.deepEqual([first.status, broken.status, last.status], ['fulfilled', 'rejected', 'fulfilled'])
  assert.deepEqual([texts.get('key'), writes()], ['2', 1])
})

test('one whose time is over is not made, and does not keep the others waiting', async () => {
  const { store, texts } = entries()
  const compareAndSet = compareAndSetOver(store)
  const [late, inTime] = await Promise.allSettled([
    compareAndSet('key', () => 'late', Date.now() - 1),
    compareAndSet('key', count, soon()),
  ])
  assert.deepEqual([late.status, inTime.status], ['rejected', 'fulfilled'])
  assert.equal(texts.get('key'), '1')
})

test('a failure of the store rejects all that waited for it, and the next begins anew', async () => {
  const { store, texts } = entries()
  let isAway = true
  const compareAndSet = compareAndSetOver({
    ...store,
    load: key => (isAway ? Promise.reject(new Error('away')) : store.load(key)),
  })
  const waiting = [compareAndSet('key', count, soon()), compareAndSet('key', count, soon())]
  for (const change of waiting) await assert.rejects(change, /away/)
  isAway = false
  await compareAndSet('key', count, soon())
  assert.equal(texts.get('key'), '1')
})

test('a change that changes nothing writes nothing, one to undefined removes', async () => {
  const { store, texts, writes } = entries()
  const compareAndSet = compareAndSetOver(store)
  await compareAndSet('key', text => text, soon())
  assert.equal(writes(), 0)
  await compareAndSet('key', count, soon())
  await compareAndSet('key', () => undefined, soon())
  assert.equal(texts.size, 0)
})

test('gives up when the time is over, and then does not change anything', async () => {
  let n = 0
  const { store } = entries(texts => texts.set('key', `other ${n++}`))
  await assert.rejects(compareAndSetOver(store)('key', count, Date.now() + 20), /no time/)
  const { store: untouched, writes } = entries()
  await assert.rejects(compareAndSetOver(untouched)('key', count, Date.now() - 1), /no time/)
  assert.equal(writes(), 0)
})
