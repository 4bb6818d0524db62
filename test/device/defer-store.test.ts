import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deferStore } from '../../plugins/xaps/device/open.ts'
import type { DeviceStore } from '../../plugins/xaps/device/store.ts'
import { movableClock } from './fixtures.ts'

/** A store of which only this much is used. */
function opened() {
  const listeners: (() => void)[] = []
  const store = { devices: async () => [], onReady: (listener: () => void) => void listeners.push(listener) }
  return {
    store: store as unknown as DeviceStore,
    isBack: () => listeners.forEach(listener => void listener()),
  }
}

test('a store that could not be opened at first says when it is', async () => {
  const clock = movableClock()
  const { store, isBack } = opened()
  let there = false
  const deferred = deferStore(async () => {
    if (!there) throw new Error('the disk is not mounted')
    return store
  }, clock)
  let heard = 0
  deferred.onReady(() => {
    heard += 1
  })
  await assert.rejects(deferred.devices('anna'))
  there = true
  clock.move(60_000)
  await deferred.devices('anna')
  assert.equal(heard, 1)
  isBack()
  assert.equal(heard, 2, 'and what it says itself later')
})

test('a store that opens at its first use says nothing, and passes on what it says later, whoever asks when', async () => {
  const { store, isBack } = opened()
  const deferred = deferStore(async () => store)
  const heard: string[] = []
  deferred.onReady(() => heard.push('before'))
  await deferred.devices('anna')
  deferred.onReady(() => heard.push('after'))
  assert.deepEqual(heard, [])
  isBack()
  assert.deepEqual(heard, ['before', 'after'])
})
