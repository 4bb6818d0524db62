import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCheckRoom } from '../../../plugins/xaps/device/lmdb/room.ts'

const MIB = 1024 * 1024

/** A disk with `free` bytes that counts how often it is looked at, and a clock that stands. */
function disk(free: number) {
  const state = { free, ms: 0, looks: 0 }
  const look = () => {
    state.looks += 1
    return { bavail: state.free / 4096, bsize: 4096 }
  }
  return { state, check: makeCheckRoom(look, () => state.ms) }
}

test('a disk needs room for other writers, and for each change that is under way', () => {
  assert.doesNotThrow(() => disk(2 * MIB).check(1))
  assert.throws(() => disk(MIB).check(1), /^Error: the disk is full: less than 1 MiB is free$/)
  assert.throws(() => disk(2 * MIB).check(100), /the disk is full/)
})

test('a disk is looked at again before it can have been filled', () => {
  const { state, check } = disk(101 * MIB)
  check(1)
  state.ms = 5
  check(1)
  assert.equal(state.looks, 1, '50 MB may be gone, and 50 MB are left')
  state.ms = 11
  state.free = 0
  assert.throws(() => check(1), /the disk is full/)
})

test('even the largest disk is looked at every 20 ms', () => {
  const { state, check } = disk(2 ** 50)
  check(1)
  state.ms = 19
  check(1)
  assert.equal(state.looks, 1)
  state.ms = 20
  check(1)
  assert.equal(state.looks, 2)
})
