import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { systemClock } from '../../../plugins/xaps/base/clock.ts'
import { reasonOf } from '../../../plugins/xaps/base/log.ts'
import { pushNameOf } from '../../../plugins/xaps/device/device.ts'
import { createStore, deviceFiles } from '../../../plugins/xaps/device/lmdb/directory.ts'
import { openDatabase } from '../../../plugins/xaps/device/lmdb/environment.ts'
import { LmdbStore, type LmdbStoreOptions } from '../../../plugins/xaps/device/lmdb/store.ts'
import { NoStoreYet } from '../../../plugins/xaps/device/store.ts'
import { FakeClock, turns } from '../../support/fake-clock.ts'
import { tempDirectory } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'
import { storeContract } from '../contract.ts'
import { movableClock, recordingLog, registering } from '../fixtures.ts'

storeContract('LMDB', false, async () => {
  const temp = tempDirectory()
  const directory = path.join(temp.path, 'xaps')
  createStore(directory, deviceFiles(directory))
  const db = await openDatabase(deviceFiles(directory))
  return {
    uri: `lmdb:${directory}`,
    async writeRaw(namespace, key, text) {
      await db.put(`${namespace}::${key}`, text, Math.random())
    },
    async remove() {
      await db.close()
      temp.remove()
    },
  }
})

const temp = tempDirectory()
after(temp.remove)
let directories = 0
const freshDirectory = () => path.join(temp.path, `store${directories++}`)
const isRoot = process.getuid?.() === 0
const NOBODY = 65534

type More = Partial<Pick<LmdbStoreOptions, 'clock' | 'deadlineMs' | 'mustExist'>>

function make(directory: string, more: More = {}) {
  const { log, lines } = recordingLog()
  const common = { namespace: 'xaps', expireAfterMs: 86_400_000, log, clock: systemClock }
  return { store: new LmdbStore({ ...common, directory, ...more }), lines }
}

async function open(directory: string, more: More = {}) {
  const { store, lines } = make(directory, more)
  await store.warnings().catch(async error => {
    await store.close()
    throw error
  })
  return { store, lines }
}

const modeOf = (file: string) => fs.statSync(file).mode & 0o7777

for (const umask of [0o000, 0o022, 0o077]) {
  test(`owner and group alone may use the files, with umask 0${umask.toString(8)}`, async () => {
    const directory = freshDirectory()
    const before = process.umask(umask)
    try {
      const { store } = await open(directory)
      await store.update('alice', registering('aa'))
      await store.claim('push', { ageMs: 0, windowMs: 0 })
      await store.close()
    } finally {
      process.umask(before)
    }
    assert.equal(modeOf(directory), 0o770)
    const files = fs.readdirSync(directory)
    assert.equal(files.length, 3)
    for (const file of files) assert.equal(modeOf(path.join(directory, file)), 0o660, file)
  })
}

test('a store that may only be read is read, and rejects changes', async () => {
  const directory = freshDirectory()
  const { store: writer } = await open(directory)
  await writer.update('alice', registering('aa'))
  await writer.close()
  fs.chmodSync(directory, 0o755)
  for (const file of fs.readdirSync(directory)) fs.chmodSync(path.join(directory, file), 0o444)
  if (isRoot) process.seteuid?.(NOBODY)
  try {
    const { store, lines } = await open(directory)
    assert.equal((await store.devices('alice')).length, 1)
    await assert.rejects(store.update('alice', registering('bb')), /may only be read/)
    assert.deepEqual((await store.warnings()).length, 1)
    assert.equal((await store.claim('push', { ageMs: 0, windowMs: 5_000 })).kind, 'granted')
    assert.equal(
      (await store.claim('push', { ageMs: 60_000, windowMs: 5_000 })).kind,
      'granted',
      'none is remembered',
    )
    assert.equal(lines.filter(({ level }) => level === 'warn').length, 1)
    await store.close()
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
})

test('opening rejects where no store can be', async () => {
  const file = path.join(temp.path, 'file')
  fs.writeFileSync(file, '')
  for (const directory of [file, path.join(file, 'below'), '/proc/xaps']) {
    await assert.rejects(
      open(directory),
      new RegExp(`^Error: the device store in ${directory} cannot be opened: `),
    )
  }
})

test('a store is opened at its first use, or later where that fails, and then says so', async () => {
  const directory = freshDirectory()
  const clock = new FakeClock(Date.now(), turns)
  const { store } = make(directory, { clock })
  let heard = 0
  store.onReady(() => {
    heard += 1
  })
  await clock.advance(60_000)
  assert.ok(!fs.existsSync(directory))
  fs.writeFileSync(directory, '')
  await assert.rejects(store.devices('alice'), /cannot be opened/)
  fs.rmSync(directory)
  await assert.rejects(store.devices('alice'), /cannot be opened/)
  await clock.advance(5_000)
  assert.deepEqual(await store.devices('alice'), [])
  await store.update('alice', registering('aa'))
  assert.equal(heard, 1)
  await store.close()
})

test('a push of more than ten minutes ago is none that could have brought a phone', async () => {
  const clock = movableClock()
  const { store } = await open(freshDirectory(), { clock })
  const record = await store.update('alice', registering('aa', clock.now()))
  for (const device of record.devices) await store.claim(pushNameOf(device), { ageMs: 0, windowMs: 5_000 })
  clock.move(10 * 60_000)
  assert.equal(await store.lastPush('alice'), 10 * 60_000)
  clock.move(1)
  assert.equal(await store.lastPush('alice'), undefined)
  await store.close()
})

test('a full disk makes changes reject; the process lives, reads and claims', async () => {
  const filler = path.join(__dirname, '../disk-filler.js')
  // A file size limit is a full disk that needs no disk. The shell counts it in blocks of 512 or 1024 bytes.
  const script = 'trap "" XFSZ; ulimit -f 400; exec "$0" "$@"'
  const args = ['-c', script, process.execPath, filler, `lmdb:${freshDirectory()}`]
  const { stdout } = await promisify(execFile)('sh', args)
  const { saved, readable, reason, claim } = JSON.parse(stdout)
  assert.match(reason, /cannot be written: the commit failed: File too large/)
  assert.ok(saved > 0)
  assert.equal(readable, saved)
  assert.equal(claim, 'granted')
})

/** Another process that has the write lock of the devices until it is killed. */
async function lockHolder(directory: string): Promise<ChildProcess> {
  const holder = spawn(process.execPath, [path.join(__dirname, '../lock-holder.js'), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  return holder
}

test('while another process holds the lock, changes wait, and all else goes on', async () => {
  const directory = freshDirectory()
  const { store } = await open(directory)
  await store.update('alice', registering('aa'))
  const holder = await lockHolder(directory)
  let isDone = false
  const update = store.update('alice', registering('bb')).finally(() => {
    isDone = true
  })
  for (let turn = 0; turn < 500; turn++) {
    await new Promise(setImmediate)
    assert.equal((await store.devices('alice')).length, 1)
  }
  await store.claim('push', { ageMs: 0, windowMs: 0 })
  assert.equal(isDone, false)
  holder.kill('SIGKILL')
  await update
  assert.equal((await store.devices('alice')).length, 2)
  await store.close()
})

test('a change that has to wait too long rejects', async () => {
  const directory = freshDirectory()
  const { store } = await open(directory, { deadlineMs: 50 })
  const holder = await lockHolder(directory)
  await assert.rejects(store.update('alice', registering('aa')), error =>
    /cannot be written: LMDB: no answer within 50 ms/.test(reasonOf(error)),
  )
  holder.kill('SIGKILL')
  await until(() => store.update('alice', registering('bb')), 'the lock to be free')
  await store.close()
})

test('a process that exits in the middle of a change ends', async () => {
  const directory = freshDirectory()
  const lmdb = path.join(__dirname, '../../../plugins/xaps/device/open.js')
  const script = `
    const { openStore } = require(${JSON.stringify(lmdb)})
    const log = { debug() {}, info() {}, notice() {}, warn() {}, error() {} }
    const options = { uri: ${JSON.stringify(`lmdb:${directory}`)}, namespace: 'x', expireAfterMs: 1e9, log }
    openStore({ ...options, harakaDir: '/' }).then(store => {
      const change = () => ({ devices: [], gone: [{ account: 'a', token: 't', at: Date.now() }] })
      for (let index = 0; index < 20; index++) void store.update('user' + index, change)
      setImmediate(() => process.exit(7))
    })`
  await assert.rejects(promisify(execFile)(process.execPath, ['-e', script]), { code: 7 })
})

test('while another process keeps the lock a store opens for reading, and for writing when it is free', async () => {
  const directory = freshDirectory()
  const { store: first } = await open(directory)
  await first.update('alice', registering('aa'))
  await first.close()
  const holder = await lockHolder(directory)
  const clock = new FakeClock(Date.now(), turns)
  const { store } = await open(directory, { clock })
  assert.equal((await store.devices('alice')).length, 1)
  await assert.rejects(store.update('alice', registering('bb')), /another process keeps its lock/)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  await clock.advance(5_000)
  await store.update('alice', registering('bb'))
  await store.close()
})

test('a change after the files were removed goes into those at the path', async () => {
  const directory = freshDirectory()
  const { store, lines } = await open(directory)
  await store.update('alice', registering('aa'))
  fs.rmSync(deviceFiles(directory).data)
  await store.update('alice', registering('bb'))
  const { store: other } = await open(directory)
  assert.deepEqual(
    (await other.devices('alice')).map(({ token }) => token),
    ['bb'],
  )
  assert.deepEqual(
    lines.map(({ level, message }) => `${level}: ${message}`),
    ['warn: the files of the device store were removed or replaced: opening it again'],
  )
  await Promise.all([store.close(), other.close()])
})

test('a change that was written into files moved away is made again in those at the path', async () => {
  const directory = freshDirectory()
  const { store } = await open(directory)
  await store.update('alice', registering('aa'))
  const holder = await lockHolder(directory)
  const update = store.update('alice', registering('bb'))
  await new Promise(setImmediate)
  fs.renameSync(directory, `${directory}.moved`)
  holder.kill('SIGKILL')
  await update
  assert.deepEqual(
    (await store.devices('alice')).map(({ token }) => token),
    ['bb'],
  )
  await store.close()
})

test('files that were replaced are noticed within a minute, without a change', async () => {
  const directory = freshDirectory()
  const clock = new FakeClock(Date.now(), turns)
  const { store } = await open(directory, { clock })
  await store.update('alice', registering('aa', clock.now()))
  const { store: other } = await open(`${directory}.other`)
  await other.update('bob', registering('bb', clock.now()))
  await other.close()
  fs.renameSync(directory, `${directory}.moved`)
  fs.renameSync(`${directory}.other`, directory)
  await clock.advance(60_000)
  await until(async () => (await store.devices('bob')).length === 1, 'the other files')
  assert.deepEqual(await store.devices('alice'), [])
  await store.close()
})

for (const [when, waited] of [
  ['at a change after some seconds', 5_000],
  ['by itself within a minute', 60_000],
] as const) {
  test(`a store that could only be read is written again, ${when}, and says so once`, async () => {
    const directory = freshDirectory()
    const { store: writer } = await open(directory)
    await writer.update('alice', registering('aa'))
    await writer.close()
    const { data, lock } = deviceFiles(directory)
    const clock = new FakeClock(Date.now(), turns)
    const chmod = (mode: number) => {
      for (const file of [data, lock]) fs.chmodSync(file, mode)
    }
    fs.chmodSync(directory, 0o755)
    chmod(0o444)
    if (isRoot) process.seteuid?.(NOBODY)
    const { store, lines } = await open(directory, { clock })
    await assert.rejects(store.update('alice', registering('bb')), /may only be read/)
    if (isRoot) process.seteuid?.(0)
    chmod(0o666)
    await clock.advance(waited)
    await until(() => store.update('alice', registering('bb')), 'the store to be written')
    assert.equal((await store.devices('alice')).length, 2)
    const news = lines.filter(({ message }) => /can be written again/.test(message))
    assert.deepEqual(news.length, 1)
    await store.close()
  })
}

test('a store that must be there is not made', async () => {
  const directory = path.join(freshDirectory(), 'deep')
  await assert.rejects(open(directory, { mustExist: true }), NoStoreYet)
  assert.equal(fs.existsSync(path.dirname(directory)), false)
  const { store } = await open(directory)
  await store.close()
  const { store: again } = await open(directory, { mustExist: true })
  assert.deepEqual(await again.devices('alice'), [])
  await again.close()
})

test('after close operations reject', async () => {
  const { store } = await open(freshDirectory())
  await store.update('alice', registering('aa'))
  await store.close()
  await assert.rejects(store.devices('alice'))
  await assert.rejects(store.update('alice', registering('bb')))
})

test('a damaged file is said to be damaged, with the way out, and the process lives', async () => {
  const directory = freshDirectory()
  const { store } = await open(directory)
  await store.update('alice', registering('aa'))
  await store.close()
  const data = deviceFiles(directory).data
  const sound = fs.readFileSync(data)
  for (const damaged of [
    Buffer.alloc(sound.length, 'x'),
    sound.subarray(0, sound.length / 2),
    Buffer.from('hello'),
  ]) {
    fs.writeFileSync(data, damaged)
    await assert.rejects(open(directory), /data\.mdb is damaged: .*Move the directory aside.*xaps import/)
  }
  fs.renameSync(directory, `${directory}.damaged`)
  const { store: anew } = await open(directory)
  assert.deepEqual(await anew.devices('alice'), [])
  await anew.close()
})

test('files that root creates in a directory of another user are that user\u2019s', {
  skip: !isRoot && 'needs root',
}, async () => {
  const directory = freshDirectory()
  fs.mkdirSync(directory)
  fs.chownSync(directory, NOBODY, NOBODY)
  const { store } = await open(directory)
  await store.claim('push', { ageMs: 0, windowMs: 0 })
  await store.close()
  const files = fs.readdirSync(directory)
  assert.equal(files.length, 3)
  for (const file of files) assert.equal(fs.statSync(path.join(directory, file)).uid, NOBODY)
})
