import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkRoom } from '../../../plugins/xaps/device/lmdb/room.ts'

const withFree = (bytes: number) => ({ bavail: bytes / 4096, bsize: 4096 })
const MIB = 1024 * 1024

test('a disk needs room for what others write, and for each change that is under way', () => {
  assert.doesNotThrow(() => checkRoom(withFree(2 * MIB), 1))
  assert.throws(() => checkRoom(withFree(MIB), 1), /^Error: the disk is full: less than 1 MiB is free$/)
  assert.throws(() => checkRoom(withFree(2 * MIB), 100), /the disk is full/)
})
