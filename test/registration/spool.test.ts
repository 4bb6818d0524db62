import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  openSpool,
  type Spool,
  type SpoolEntry,
  type SpoolLimits,
} from '../../plugins/xaps/registration/spool.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { heldClock, keptLog } from './tools.ts'

function entry(account: string, more: Partial<SpoolEntry> = {}): SpoolEntry {
  return {
    user: 'user@example.org',
    account,
    token: 'ab'.repeat(32),
    mailboxes: ['INBOX'],
    subtopic: 'com.apple.mobilemail',
    topic: 'com.apple.mail.XServer.1',
    at: 1000,
    ...more,
  }
}

function setup(t: TestContext) {
  const temp = tempDirectory()
  const opened: Spool[] = []
  t.after(async () => {
    for (const spool of opened) await spool.close()
    temp.remove()
  })
  const directory = path.join(temp.path, 'spool')
  const file = path.join(directory, 'registrations.jsonl')
  const clock = heldClock()
  const log = keptLog()
  const open = async (limits: SpoolLimits = {}) => {
    const spool = await openSpool(directory, limits, log, clock)
    opened.push(spool)
    return spool
  }
  return { temp, directory, file, clock, log, open }
}

/** Lets time pass until `condition` holds; each look is one pause of the spool at most. */
async function pass(clock: FakeClock, condition: () => boolean, what: string) {
  await until(async () => {
    await clock.advance(5_000)
    return condition()
  }, what)
}

test('makes no directory until there is something to keep, and then one that is nobody else’s', async t => {
  const { directory, file, open } = setup(t)
  const spool = await open()
  assert.equal(existsSync(directory), false)
  await spool.add(entry('A'))
  assert.equal(statSync(directory).mode & 0o777, 0o700)
  assert.equal(statSync(file).mode & 0o777, 0o600)
})

test('has an entry on disk when it says so', async t => {
  const { file, open } = setup(t)
  const spool = await open()
  await spool.add(entry('A'))
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), entry('A'))
  assert.equal(spool.size, 1)
})

test('keeps all of many entries that come at once', async t => {
  const { file, open } = setup(t)
  const spool = await open()
  await Promise.all(Array.from({ length: 500 }, (_, i) => spool.add(entry(`A${i}`))))
  assert.equal(readFileSync(file, 'utf8').trim().split('\n').length, 500)
})

test('saves what an earlier process left, in its order and with its times, and empties the file', async t => {
  const { file, clock, open } = setup(t)
  const before = await open()
  for (const account of ['A', 'B', 'C']) await before.add(entry(account, { at: 42 }))

  const spool = await open()
  assert.equal(spool.size, 3)
  const saved: SpoolEntry[] = []
  spool.start(async one => void saved.push(one))
  await pass(clock, () => spool.size === 0 && statSync(file).size === 0, 'the spool to be empty')
  assert.deepEqual(saved, [entry('A', { at: 42 }), entry('B', { at: 42 }), entry('C', { at: 42 })])
})

test('saves the latest of a device once', async t => {
  const { clock, open } = setup(t)
  const spool = await open()
  await spool.add(entry('A', { at: 1 }))
  await spool.add(entry('A', { at: 2, mailboxes: ['INBOX', 'Notes'] }))
  const saved: SpoolEntry[] = []
  spool.start(async one => void saved.push(one))
  await pass(clock, () => spool.size === 0, 'the spool to be empty')
  assert.deepEqual(saved, [entry('A', { at: 2, mailboxes: ['INBOX', 'Notes'] })])
})

test('takes the same registration of a device once more without another line', async t => {
  const { file, open } = setup(t)
  const spool = await open()
  await Promise.all([spool.add(entry('A', { at: 1 })), spool.add(entry('A', { at: 2 }))])
  await spool.add(entry('A', { at: 3 }))
  assert.equal(readFileSync(file, 'utf8').trim().split('\n').length, 1)
})

test('tries again after 0.5 s, 1 s, 2 s, 4 s and then every 5 s', async t => {
  const { clock, open } = setup(t)
  const spool = await open()
  await spool.add(entry('A'))
  const attempts: number[] = []
  const start = clock.now()
  spool.start(() => {
    attempts.push(clock.now() - start)
    return Promise.reject(new Error('away'))
  })
  await clock.advance(20_000)
  const pauses = attempts.slice(1).map((at, i) => at - (attempts[i] ?? 0))
  assert.deepEqual(pauses.slice(0, 5), [500, 1000, 2000, 4000, 5000])
})

test('saves at once when the store says that it is back', async t => {
  const { clock, open } = setup(t)
  const spool = await open()
  await spool.add(entry('A'))
  let away = true
  const saved: SpoolEntry[] = []
  spool.start(async one => {
    if (away) throw new Error('away')
    saved.push(one)
  })
  await clock.advance(20_000)
  assert.ok((clock.next ?? 0) > 1_000, `the next try is ${clock.next} ms away`)
  away = false
  spool.saveNow()
  await clock.advance(0)
  assert.equal(saved.length, 1)
})

test('an entry that cannot be saved does not keep the others from it', async t => {
  const { clock, open } = setup(t)
  const spool = await open()
  for (let i = 0; i < 40; i += 1) await spool.add(entry(`A${i}`))
  const saved = new Set<string>()
  spool.start(async ({ account }) => {
    if (account === 'A0') throw new Error('not this one')
    saved.add(account)
  })
  await pass(clock, () => saved.size === 39, 'the others to be saved')
  assert.equal(spool.size, 1)
})

test('does not wait for ever for a store that says nothing', async t => {
  const { clock, open } = setup(t)
  const spool = await open()
  await spool.add(entry('A'))
  let attempts = 0
  spool.start(() => {
    attempts += 1
    return attempts === 1 ? new Promise(() => undefined) : Promise.resolve()
  })
  await pass(clock, () => spool.size === 0, 'the second attempt')
})

test('saves what is added later, too', async t => {
  const { clock, log, open } = setup(t)
  const spool = await open()
  spool.start(() => Promise.resolve())
  await spool.add(entry('A'))
  await pass(clock, () => spool.size === 0, 'the entry to be saved')
  await spool.add(entry('B'))
  await pass(clock, () => spool.size === 0, 'the next entry to be saved')
  assert.ok(log.messages().includes('notice registrations from the spool are saved'))
})

test('skips the torn last line of a crash with a warning, and goes on on a line of its own', async t => {
  const { directory, file, log, open } = setup(t)
  mkdirSync(directory)
  writeFileSync(file, `${JSON.stringify(entry('A'))}\n{"user":"user@exam`)
  const spool = await open()
  assert.equal(spool.size, 1)
  assert.ok(log.messages().includes('warn damaged lines in the spool were skipped'))
  await spool.add(entry('B'))
  assert.equal((await open()).size, 2)
})

test('skips other damaged lines with a warning and keeps the rest', async t => {
  const { directory, file, log, open } = setup(t)
  mkdirSync(directory)
  const lines = ['\0\0\0', '[]', 'null', '{"user":1}', JSON.stringify(entry('A')), JSON.stringify(entry('B'))]
  writeFileSync(file, `${lines.join('\n')}\n`)
  assert.equal((await open()).size, 2)
  assert.equal(log.entries[0]?.fields.count, 4)
})

test('refuses more devices than it may hold, but not news of one that it holds', async t => {
  const { open } = setup(t)
  const spool = await open({ maxEntries: 2 })
  await spool.add(entry('A'))
  await spool.add(entry('B'))
  await assert.rejects(spool.add(entry('C')), /the spool is full/)
  await spool.add(entry('A', { at: 2, mailboxes: [] }))
})

test('refuses more bytes than it may hold', async t => {
  const { file, open } = setup(t)
  const spool = await open({ maxBytes: 10_000 })
  const results = await Promise.allSettled(
    Array.from({ length: 100 }, (_, i) => spool.add(entry('A', { user: `user${i}@example.org` }))),
  )
  assert.ok(results.some(({ status }) => status === 'rejected'))
  assert.ok(statSync(file).size <= 10_000)
})

test('leaves room for others when one user sends registrations all day', async t => {
  const { open } = setup(t)
  const spool = await open({ maxBytes: 32_000 })
  const results = await Promise.allSettled(Array.from({ length: 100 }, (_, i) => spool.add(entry(`A${i}`))))
  assert.ok(results.some(({ status }) => status === 'rejected'))
  await spool.add(entry('A', { user: 'other@example.org' }))
})

test('rejects what cannot be written, and works again when it can', async t => {
  const { directory, open } = setup(t)
  writeFileSync(directory, 'in the way')
  const spool = await open()
  await assert.rejects(spool.add(entry('A')))
  assert.equal(spool.size, 0)
  rmSync(directory)
  await spool.add(entry('A'))
  assert.equal(spool.size, 1)
})

test('rejects on a full disk however often, and has room again afterwards', async t => {
  const { directory, file, open } = setup(t)
  const spool = await open({ maxBytes: 10_000 })
  mkdirSync(directory)
  symlinkSync('/dev/full', file)
  for (let i = 0; i < 100; i += 1) await assert.rejects(spool.add(entry('A')), /ENOSPC/)
  rmSync(file)
  await spool.add(entry('A'))
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), entry('A'))
})

test('news that cannot be written does not forget what is on disk', async t => {
  const { directory, file, clock, open } = setup(t)
  mkdirSync(directory)
  writeFileSync(file, `${JSON.stringify(entry('A', { at: 1 }))}\n`)
  const spool = await open()
  rmSync(file)
  symlinkSync('/dev/full', file)
  await assert.rejects(spool.add(entry('A', { at: 2, mailboxes: [] })))
  const saved: SpoolEntry[] = []
  spool.start(async one => void saved.push(one))
  await pass(clock, () => spool.size === 0, 'the entry to be saved')
  assert.deepEqual(saved, [entry('A', { at: 1 })])
})
