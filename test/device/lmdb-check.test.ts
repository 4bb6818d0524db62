import assert from 'node:assert/strict'
import { randomFillSync } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { damageOf } from '../../plugins/xaps/device/lmdb-check.ts'
import { createStore, deviceFiles } from '../../plugins/xaps/device/lmdb-directory.ts'
import { openEnvironment } from '../../plugins/xaps/device/lmdb-environment.ts'
import { tempDirectory } from '../support/temp.ts'
import { startWorker } from './fixtures.ts'

const PAGE = 4096
const temp = tempDirectory()
const sound = path.join(temp.path, 'sound', 'data.mdb')
const damaged = path.join(temp.path, 'damaged.mdb')

/** 2,000 small values and some that have pages of their own, written and rewritten in many transactions. */
before(async () => {
  const directory = path.dirname(sound)
  createStore(directory, deviceFiles(directory))
  const db = await openEnvironment(deviceFiles(directory))
  for (let round = 0; round < 4; round++) {
    for (let batch = 0; batch < 20; batch++) {
      const keys = Array.from({ length: 100 }, (_, index) => `user${(batch * 100 + index) * 7}`)
      await Promise.all(keys.map(key => db.put(key, 'x'.repeat(300 + round * 10), round)))
    }
    await Promise.all([1, 2, 3].map(index => db.put(`big${index}`, 'y'.repeat(20_000 * index), round)))
    await db.remove(`user${round * 7}`)
  }
  await db.close()
})
after(temp.remove)

test('a file that LMDB has written is sound, an empty one too', () => {
  assert.equal(damageOf(sound), undefined)
  fs.writeFileSync(damaged, '')
  assert.equal(damageOf(damaged), undefined)
})

type Bytes = Buffer<ArrayBufferLike>
const overwrite =
  (at: (size: number) => number, pages: number, fill: (part: Bytes) => Bytes) => (bytes: Bytes) => {
    const start = Math.floor(at(bytes.length) / PAGE) * PAGE
    fill(bytes.subarray(start, Math.min(start + pages * PAGE, bytes.length)))
    return bytes
  }
const zeros = (part: Bytes) => part.fill(0)
const noise = (part: Bytes) => randomFillSync(part) as Bytes

const damages: ReadonlyArray<readonly [name: string, damage: (bytes: Bytes) => Bytes]> = [
  ['noise throughout', bytes => noise(bytes)],
  ['text', () => Buffer.from('hello\n')],
  ['only the first 100 bytes', bytes => bytes.subarray(0, 100)],
  ['only the first page', bytes => bytes.subarray(0, PAGE)],
  ['only the first two pages', bytes => bytes.subarray(0, 2 * PAGE)],
  ['half of it', bytes => bytes.subarray(0, bytes.length / 2)],
  ['all but the last quarter', bytes => bytes.subarray(0, (bytes.length * 3) / 4)],
  ['zeros in the first page', overwrite(() => 0, 1, zeros)],
  ['noise in the second page', overwrite(() => PAGE, 1, noise)],
  ['zeros after the first two pages', overwrite(() => 2 * PAGE, 1e9, zeros)],
  ['noise after the first two pages', overwrite(() => 2 * PAGE, 1e9, noise)],
  ['zeros in the middle', overwrite(size => size / 2, 60, zeros)],
  ['noise in the middle', overwrite(size => size / 2, 60, noise)],
  [
    'pages that have changed places',
    bytes => Buffer.concat([bytes.subarray(0, 2 * PAGE), ...swapped(bytes)]),
  ],
]

function swapped(bytes: Bytes): Bytes[] {
  const pages = Array.from({ length: bytes.length / PAGE - 2 }, (_, index) =>
    bytes.subarray((index + 2) * PAGE, (index + 3) * PAGE),
  )
  return pages.reverse()
}

for (const [name, damage] of damages) {
  test(`finds the damage: ${name}`, () => {
    fs.writeFileSync(damaged, damage(fs.readFileSync(sound)))
    assert.match(damageOf(damaged) ?? 'nothing', /^it|^page \d+ is not/)
  })
}

test('finds no damage while others are writing', async () => {
  const directory = path.join(temp.path, 'busy')
  const job = {
    uri: `lmdb:${directory}`,
    namespace: 'x',
    kind: 'register',
    user: 'alice',
    name: 'w',
  } as const
  const worker = await startWorker({ ...job, count: 100_000, concurrency: 8 })
  worker.go()
  try {
    while (worker.done.length < 300) {
      assert.equal(damageOf(deviceFiles(directory).data), undefined)
      await new Promise(setImmediate)
    }
  } finally {
    worker.child.kill('SIGKILL')
    await worker.ended
  }
})
