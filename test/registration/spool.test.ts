import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { reasonOf } from '../../plugins/xaps/base/log.ts'
import type { Registration } from '../../plugins/xaps/device/record.ts'
import type { Save, Spool, SpoolOptions } from '../../plugins/xaps/registration/spool.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { localStore, spoolIn } from './spools.ts'
import { heldClock, keptLog } from './tools.ts'

const USER = 'user@example.org'

function registration(account: string, more: Partial<Registration> = {}): Registration {
  return {
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
  const clock = heldClock()
  const log = keptLog()
  const open = (more: Partial<SpoolOptions> = {}) => {
    const spool = spoolIn(directory, log, clock, more)
    opened.push(spool)
    return spool
  }
  const saved: Registration[] = []
  const save: Save = async (_, one) => void saved.push(one)
  const accounts = () => saved.map(({ account }) => account).sort()
  return { directory, clock, log, open, saved, save, accounts }
}

/** Lets time pass until `condition` holds; each look is one pause of the spool at most. */
async function pass(clock: FakeClock, condition: () => boolean, what: string) {
  await until(async () => {
    await clock.advance(5_000)
    return condition()
  }, what)
}

test('makes no directory until there is something to keep, and then a private one', async t => {
  const { directory, open } = setup(t)
  const spool = open()
  assert.equal(existsSync(directory), false)
  await spool.add(USER, registration('A'))
  assert.equal(statSync(directory).mode & 0o777, 0o700)
  assert.equal(spool.size, 1)
})

test('is opened by its start only where that is asked for', async t => {
  const { directory, clock, open, save } = setup(t)
  open({ openAtStart: false }).start(save)
  await clock.advance(10_000)
  assert.equal(existsSync(directory), false)
  open().start(save)
  await clock.advance(0)
  await until(() => existsSync(directory), 'the directory')
})

test('has what it has acknowledged on disk: a process that is killed then loses none of many', async t => {
  const { directory, clock, open, save, accounts } = setup(t)
  const script = `
    const { spoolIn } = require(${JSON.stringify(require.resolve('./spools.js'))})
    const log = { debug() {}, info() {}, notice() {}, warn() {}, error() {} }
    const spool = spoolIn(${JSON.stringify(directory)}, log)
    const one = ${JSON.stringify(registration(''))}
    Promise.all(Array.from({ length: 300 }, (_, i) => spool.add('user' + i, { ...one, account: 'A' + i })))
      .then(() => process.kill(process.pid, 'SIGKILL'), console.error)`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'inherit', 'inherit'] })
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL'])
  const spool = open()
  spool.start(save)
  await pass(clock, () => accounts().length === 300 && spool.size === 0, 'all to be saved')
  assert.equal(new Set(accounts()).size, 300)
})

test('saves what an earlier process left, with its times, and forgets it', async t => {
  const { clock, log, open, saved, save, accounts } = setup(t)
  const before = open()
  for (const account of ['A', 'B', 'C']) await before.add(USER, registration(account, { at: 42 }))
  await before.close()

  const spool = open()
  spool.start(save)
  await pass(clock, () => saved.length > 0 && spool.size === 0, 'the spool to be empty')
  assert.deepEqual(accounts(), ['A', 'B', 'C'])
  assert.deepEqual(saved[0], registration('A', { at: 42 }))
  assert.ok(log.messages().includes('notice registrations wait in the spool'))
  await spool.close()

  const third = open()
  await third.add(USER, registration('D'))
  assert.equal(third.size, 1)
})

test('saves the latest of a device once', async t => {
  const { clock, open, saved, save } = setup(t)
  const spool = open()
  await spool.add(USER, registration('A', { at: 1 }))
  await spool.add(USER, registration('A', { at: 2, mailboxes: ['INBOX', 'Notes'] }))
  assert.equal(spool.size, 1)
  spool.start(save)
  await pass(clock, () => saved.length > 0 && spool.size === 0, 'the spool to be empty')
  assert.deepEqual(saved, [registration('A', { at: 2, mailboxes: ['INBOX', 'Notes'] })])
})

test('a device that registers again while it is being saved is saved again', async t => {
  const { clock, open, saved, save } = setup(t)
  const spool = open()
  await spool.add(USER, registration('A', { at: 1 }))
  spool.start(async (user, one) => {
    await save(user, one)
    if (one.at === 1) await spool.add(USER, registration('A', { at: 2 }))
  })
  await pass(clock, () => saved.length === 2 && spool.size === 0, 'both to be saved')
  assert.deepEqual(
    saved.map(({ at }) => at),
    [1, 2],
  )
})

test('tries again after 0.5 s, 1 s, 2 s, 4 s and then every 5 s, and at once when the store is back', async t => {
  const { clock, open, saved, save } = setup(t)
  const spool = open()
  await spool.add(USER, registration('A'))
  const attempts: number[] = []
  let away = true
  spool.start(async (user, one) => {
    attempts.push(clock.now())
    if (away) throw new Error('away')
    await save(user, one)
  })
  const timer = async () => until(() => clock.next !== undefined && clock.next > 0, 'the next pause')
  for (const ms of [0, 500, 1000, 2000, 4000, 5000, 5000]) {
    const tried = attempts.length
    await clock.advance(ms)
    await until(() => attempts.length > tried, 'an attempt')
    await timer()
  }
  const pauses = attempts.slice(1).map((at, i) => at - (attempts[i] ?? 0))
  assert.deepEqual(pauses, [500, 1000, 2000, 4000, 5000, 5000])
  away = false
  spool.saveNow()
  await clock.advance(0)
  await until(() => saved.length === 1, 'it to be saved')
})

test('a registration that cannot be saved keeps neither others nor those of its user from it', async t => {
  const { clock, open, accounts, save } = setup(t)
  const spool = open()
  for (let i = 0; i < 40; i += 1) await spool.add(`user${i}`, registration(`A${i}`))
  await spool.add('user0', registration('B'))
  spool.start(async (user, one) => {
    if (one.account === 'A0') throw new Error('not this one')
    await save(user, one)
  })
  await pass(clock, () => accounts().length === 40, 'the others to be saved')
  await pass(clock, () => spool.size === 1, 'the others to be forgotten')
})

test('does not wait for ever for a store that says nothing', async t => {
  const { clock, open } = setup(t)
  const spool = open()
  await spool.add(USER, registration('A'))
  let attempts = 0
  spool.start(() => {
    attempts += 1
    return attempts === 1 ? new Promise(() => undefined) : Promise.resolve()
  })
  await pass(clock, () => spool.size === 0, 'the second attempt')
})

test('saves what is added later, too', async t => {
  const { clock, log, open } = setup(t)
  const spool = open()
  spool.start(() => Promise.resolve())
  for (const account of ['A', 'B']) {
    await spool.add(USER, registration(account))
    await pass(clock, () => spool.size === 0, 'it to be saved')
  }
  await until(() => log.messages().includes('notice registrations from the spool are saved'), 'the line')
})

test('refuses more bytes than it may hold, leaves room for others when one user sends all day, and takes news of what it holds', async t => {
  const { open } = setup(t)
  const spool = open({ maxBytes: 32_000 })
  const flood = await Promise.allSettled(
    Array.from({ length: 100 }, (_, i) => spool.add('flood', registration(`A${i}`))),
  )
  const reasons = flood.map(result => (result.status === 'rejected' ? reasonOf(result.reason) : ''))
  assert.ok(reasons.some(reason => reason.includes("user's share")))
  const all = await Promise.allSettled(
    Array.from({ length: 300 }, (_, i) => spool.add(`user${i}`, registration('A'))),
  )
  assert.ok(all[0]?.status === 'fulfilled')
  assert.ok(all.some(({ status }) => status === 'rejected'))
  assert.ok(spool.size > 50 && spool.size < 200, String(spool.size))
  const before = spool.size
  await assert.rejects(spool.add('another', registration('A')), { cause: new Error('the spool is full') })
  await spool.add('user0', registration('A', { at: 2, mailboxes: [] }))
  assert.equal(spool.size, before)
})

test('keeps no more devices of a user than the store would, the latest', async t => {
  const { clock, open, accounts, save } = setup(t)
  const spool = open({ maxDevices: 2 })
  for (const [at, account] of ['A', 'B', 'C'].entries()) await spool.add(USER, registration(account, { at }))
  spool.start(save)
  await pass(clock, () => spool.size === 0, 'the spool to be empty')
  assert.deepEqual(accounts(), ['B', 'C'])
})

test('rejects what cannot be written, and works again when it can', async t => {
  const { directory, open } = setup(t)
  writeFileSync(directory, 'in the way')
  const spool = open()
  await assert.rejects(spool.add(USER, registration('A')))
  assert.equal(spool.size, 0)
  rmSync(directory)
  await spool.add(USER, registration('A'))
  assert.equal(spool.size, 1)
})

test('on a full disk rejects however often, forgets nothing that is there, and has room again afterwards', async t => {
  const { directory, clock, log, open, saved, save } = setup(t)
  let full = false
  const local = localStore(directory, log)
  const write = local.update.bind(local)
  local.update = async (user, change) => {
    if (!full) return write(user, change)
    const [devices] = [await local.devices(user)]
    change({ devices, gone: [] })
    throw new Error('ENOSPC')
  }
  const spool = open({ local, maxBytes: 8_000 })
  await spool.add(USER, registration('A', { at: 1 }))
  full = true
  for (let i = 0; i < 20; i += 1)
    await assert.rejects(spool.add(USER, registration('A', { at: 2 })), /ENOSPC/)
  for (let i = 0; i < 20; i += 1) await assert.rejects(spool.add(`user${i}`, registration('A')), /ENOSPC/)
  assert.equal(spool.size, 1)
  full = false
  await spool.add('other', registration('B'))
  spool.start(save)
  await pass(clock, () => spool.size === 0, 'the spool to be empty')
  assert.deepEqual(
    saved.map(({ account, at }) => [account, at]),
    [
      ['A', 1],
      ['B', 1000],
    ],
  )
})

test('a damaged spool is refused with a line in the log, and works when it is out of the way', async t => {
  const { directory, clock, log, open, save, accounts } = setup(t)
  mkdirSync(directory)
  writeFileSync(path.join(directory, 'data.mdb'), 'x'.repeat(100_000))
  const spool = open()
  spool.start(save)
  await clock.advance(0)
  await until(() => log.messages().includes('error the spool cannot be read'), 'the line')
  await assert.rejects(spool.add(USER, registration('A')), /damaged/)
  rmSync(directory, { recursive: true })
  await spool.add(USER, registration('A'))
  await pass(clock, () => accounts().length === 1, 'it to be saved')
})

test('takes the file of an earlier version, but for lines that are damaged or torn, and removes it', async t => {
  const { directory, clock, open, saved, save, accounts } = setup(t)
  mkdirSync(directory)
  const file = path.join(directory, 'registrations.jsonl')
  const line = (account: string, at: number) =>
    JSON.stringify({ user: USER, ...registration(account, { at }) })
  const damaged = ['\0\0\0', '[]', 'null', '{"user":1}']
  const lines = [...damaged, line('A', 1), line('B', 1), line('A', 2), '{"user":"user@exam']
  writeFileSync(file, lines.join('\n'))
  const spool = open()
  spool.start(save)
  await pass(clock, () => saved.length > 0 && spool.size === 0, 'the spool to be empty')
  assert.deepEqual(accounts(), ['A', 'B'])
  assert.equal(saved.find(({ account }) => account === 'A')?.at, 2)
  assert.equal(existsSync(file), false)
})
