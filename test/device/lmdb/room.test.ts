import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkRoom } from '../../../plugins/xaps/device/lmdb/room.ts'
import { tempDirectory } from '../../support/temp.ts'

const withFree = (bytes: number) => () => ({ bavail: bytes / 4096, bsize: 4096 })
const MIB = 1024 * 1024

test('a disk needs room for what others write, and for each change that is under way', () => {
  assert.doesNotThrow(() => checkRoom('/', 1, withFree(2 * MIB)))
  assert.throws(() => checkRoom('/', 1, withFree(MIB)), /^Error: the disk is full: less than 1 MiB is free$/)
  assert.throws(() => checkRoom('/', 100, withFree(2 * MIB)), /the disk is full/)
})

test('a disk with room is one', t => {
  const temp = tempDirectory()
  t.after(temp.remove)
  assert.doesNotThrow(() => checkRoom(temp.path, 100))
})
