import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { checkFile, DamagedFile, LockedFile } from '../../../plugins/xaps/device/lmdb/check.ts'
import { createStore, deviceFiles, type LmdbFiles } from '../../../plugins/xaps/device/lmdb/directory.ts'
import { openDatabase } from '../../../plugins/xaps/device/lmdb/environment.ts'
import { tempDirectory } from '../../support/temp.ts'
import { startWorker } from '../fixtures.ts'

const PAGE = 4096
const temp = tempDirectory()
const sound = path.join(temp.path, 'sound', 'data.mdb')
const damaged = deviceFiles(path.join(temp.path, 'damaged'))

function writeDamaged(bytes: Buffer<ArrayBufferLike>): void {
  fs.rmSync(path.dirname(damaged.data), { recursive: true, force: true })
  createStore(path.dirname(damaged.data), damaged)
  fs.writeFileSync(damaged.data, bytes)
}

/** 2,000 small values and some that have pages of their own, written and rewritten in many transactions. */
before(async () => {
  const directory = path.dirname(sound)
  createStore(directory, deviceFiles(directory))
  const db = await openDatabase(deviceFiles(directory))
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

/** As a reader, then as a writer. */
async function checkBoth(files: LmdbFiles): Promise<void> {
  await checkFile(files, true)
  await checkFile(files, false)
}

const isDamaged = (error: unknown) =>
  error instanceof DamagedFile && /data\.mdb is damaged: ./.test(error.message)

test('a file that LMDB has written is sound, an empty one too, and stays as it is', async () => {
  const before = fs.readFileSync(sound)
  await checkBoth(deviceFiles(path.dirname(sound)))
  assert.ok(fs.readFileSync(sound).equals(before))
  writeDamaged(Buffer.alloc(0))
  await checkBoth(damaged)
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
  test(`finds the damage: ${name}`, async () => {
    writeDamaged(damage(fs.readFileSync(sound)))
    for (const readOnly of [true, false]) await assert.rejects(checkFile(damaged, readOnly), isDamaged)
  })
}

test('finds damage in the list of free pages before a writer meets it', async () => {
  for (const fill of [zeros, noise]) {
    const bytes = fs.readFileSync(sound)
    const root = rootOfFreeList(bytes) * PAGE
    fill(bytes.subarray(root, root + PAGE))
    writeDamaged(bytes)
    await checkFile(damaged, true)
    await assert.rejects(checkFile(damaged, false), isDamaged)
  }
})

/** The first two pages describe the last two transactions: number at 152, root of the free pages at 88. */
function rootOfFreeList(bytes: Bytes): number {
  const [newest = 0] = [0, PAGE].sort((a, b) =>
    Number(bytes.readBigUInt64LE(b + 152) - bytes.readBigUInt64LE(a + 152)),
  )
  return Number(bytes.readBigUInt64LE(newest + 88))
}

test('looks at a damaged file once, and again when it has changed', async () => {
  writeDamaged(Buffer.alloc(10 * PAGE, 'x'))
  await assert.rejects(checkFile(damaged, true), isDamaged)
  const execPath = process.execPath
  process.execPath = '/nonexistent'
  try {
    await assert.rejects(checkFile(damaged, true), isDamaged)
  } finally {
    process.execPath = execPath
  }
  writeDamaged(fs.readFileSync(sound))
  await checkFile(damaged, true)
})

test('a file that cannot be checked is not said to be damaged', async () => {
  const files = deviceFiles(path.dirname(sound))
  const execPath = process.execPath
  try {
    process.execPath = '/nonexistent'
    await assert.rejects(checkFile(files, true), /ENOENT/)
    process.execPath = '/bin/false'
    await assert.rejects(checkFile(files, true), /could not be checked: exit status 1/)
  } finally {
    process.execPath = execPath
  }
  await checkFile(files, true)
})

test('where another keeps the lock it can be read, and is not said to be damaged', async () => {
  const directory = path.dirname(sound)
  const holder = spawn(process.execPath, [path.join(__dirname, '../lock-holder.js'), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  try {
    await checkFile(deviceFiles(directory), true)
    await assert.rejects(checkFile(deviceFiles(directory), false), LockedFile)
  } finally {
    holder.kill('SIGKILL')
    await once(holder, 'exit')
  }
})

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
    for (let time = 0; time < 5 || worker.done.length < 300; time++) {
      await checkBoth(deviceFiles(directory))
    }
  } finally {
    worker.child.kill('SIGKILL')
    await worker.ended
  }
})
