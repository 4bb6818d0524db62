import assert from 'node:assert/strict'
import test from 'node:test'
import { Journal } from '../../plugins/xaps/push/journal.ts'
import { FakeClock, turns } from '../support/fake-clock.ts'
import { filesOf, type JournalHost } from '../support/journal.ts'
import { recordedLog } from '../support/recorded-log.ts'

function setup() {
  const clock = new FakeClock(1_000)
  const log = recordedLog()
  const host: JournalHost = { files: new Map(), alive: new Set() }
  const start = (name: string) => {
    const files = filesOf(host, name)
    const journal = new Journal(files, log, clock)
    const left: string[] = []
    const takeOver = () =>
      journal.takeOver(({ user }) => {
        left.push(user)
        journal.enter(user)
      })
    return { files, journal, left, takeOver, kill: () => host.alive.delete(name) }
  }
  return { clock, log, host, start }
}

test('a user is written in the turn in which an event comes, and once, however many parts have events', async () => {
  const { host, start } = setup()
  const { journal } = start('1')
  journal.enter('anna')
  journal.enter('anna')
  journal.enter('bob "the\nbuilder"')
  await turns(1)
  assert.equal(host.files.get('1'), '+ 1000 "anna"\n+ 1000 "bob \\"the\\nbuilder\\""\n')
})

test('a user who has nothing pending when the turn is over costs no write', async () => {
  const { host, start } = setup()
  const { journal } = start('1')
  journal.enter('anna')
  await Promise.resolve()
  journal.leave('anna')
  await turns(1)
  assert.equal(host.files.get('1'), undefined)
})

test('what is done is written with the next that comes, or after a while', async () => {
  const { clock, host, start } = setup()
  const { journal } = start('1')
  journal.enter('anna')
  await turns(1)
  journal.leave('anna')
  journal.enter('bob')
  await turns(1)
  journal.leave('bob')
  assert.equal(host.files.get('1'), '+ 1000 "anna"\n+ 1000 "bob"\n- "anna"\n')
  await clock.advance(5)
  assert.match(host.files.get('1') ?? '', /- "bob"\n$/)
  assert.equal(clock.timers, 0)
})

test('a process that starts takes over what those before it have left, once, and keeps it itself', async () => {
  const { host, log, start } = setup()
  const [first, second] = [start('1'), start('2')]
  first.journal.enter('anna')
  first.journal.enter('bob')
  second.journal.enter('carl')
  await turns(1)
  first.journal.leave('bob')
  first.journal.enter('dora')
  await turns(1)
  first.kill()
  const [third, fourth] = [start('3'), start('4')]
  third.takeOver()
  fourth.takeOver()
  assert.deepEqual([third.left, fourth.left], [['anna', 'dora'], []])
  assert.deepEqual([...host.files.keys()].sort(), ['2', '3'])
  assert.match(log.loud()[0] ?? '', /^notice: pushes that were pending when a process ended .* users=2$/)
  third.kill()
  const fifth = start('5')
  fifth.takeOver()
  assert.deepEqual(fifth.left, ['anna', 'dora'])
})

test('a line that was cut off says nothing, and costs no other', () => {
  const { host, start } = setup()
  host.files.set('0', '+ 1 "anna"\n+ 1 "bob"\n- "anna"\n+ 1 "ca')
  const next = start('1')
  next.takeOver()
  assert.deepEqual(next.left, ['bob'])
})

test('an end in order leaves what is pending, and no file where nothing is', async () => {
  const { host, start } = setup()
  const [first, second] = [start('1'), start('2')]
  first.journal.enter('anna')
  second.journal.enter('bob')
  second.journal.leave('bob')
  first.journal.close()
  second.journal.close()
  first.journal.leave('anna')
  await turns(1)
  assert.deepEqual([...host.files], [['1', '+ 1000 "anna"\n']])
})

test('a disk that is full costs no push and one line; when it can be written again all that is pending is there', async () => {
  const { clock, log, host, start } = setup()
  const { files, journal } = start('1')
  const { append, replace } = files
  const full = () => {
    throw new Error('ENOSPC: no space left on device')
  }
  Object.assign(files, { append: full, replace: full })
  for (const user of ['anna', 'bob', 'carl']) {
    journal.enter(user)
    await turns(1)
  }
  journal.leave('bob')
  await clock.advance(5)
  assert.equal(log.loud().length, 1)
  assert.match(log.loud()[0] ?? '', /^warn: pending pushes are kept in memory alone: .* cause="ENOSPC/)
  Object.assign(files, { append, replace })
  journal.enter('dora')
  await clock.advance(5_000)
  assert.equal(host.files.get('1'), '+ 1000 "anna"\n+ 1000 "carl"\n+ 1005 "dora"\n')
  assert.match(log.loud()[1] ?? '', /^notice: pending pushes are kept on disk again/)
})

test('while a disk is full all is written anew every five seconds, not with every mail; and at the end', async () => {
  const { clock, host, start } = setup()
  const { files, journal } = start('1')
  const { append, replace } = files
  let tries = 0
  const full = () => {
    tries += 1
    throw new Error('ENOSPC: no space left on device')
  }
  Object.assign(files, { append: full, replace: full })
  for (let count = 0; count < 1_000; count += 1) {
    journal.enter(`user${count}`)
    if (count % 2 > 0) journal.leave(`user${count - 1}`)
    await clock.advance(10)
  }
  assert.ok(tries <= 3, `${tries} tries in 10 seconds`)
  Object.assign(files, { append, replace })
  journal.close()
  assert.equal(host.files.get('1')?.split('\n').length, 501)
  assert.equal(clock.timers, 0)
})

test('what cannot be taken over is said once, however often it is tried, and again after it could be', () => {
  const { log, start } = setup()
  const { files, takeOver } = start('1')
  const { left } = files
  const away = () => {
    throw new Error('EACCES: permission denied')
  }
  for (const tried of [away, away, away, left, away, away]) {
    Object.assign(files, { left: tried })
    takeOver()
  }
  assert.equal(log.loud().length, 2)
})

test('names of any length cost no more than their own line, however many are pending', async () => {
  const { start } = setup()
  const { files, journal } = start('1')
  const { replace } = files
  let rewritten = 0
  files.replace = text => {
    rewritten += 1
    replace(text)
  }
  for (let count = 0; count < 5_000; count += 1) {
    journal.enter(`${'x'.repeat(250)}${count}`)
    if (count % 10 === 0) await turns(1)
  }
  assert.ok(rewritten <= 3, `${rewritten} times`)
})

test('the file stays small, however many come and go', async () => {
  const { clock, host, start } = setup()
  const { journal } = start('1')
  journal.enter('stays')
  for (let number = 0; number < 20_000; number += 1) {
    journal.enter(`user${number}`)
    await turns(1)
    journal.leave(`user${number}`)
  }
  await clock.advance(5)
  const text = host.files.get('1') ?? ''
  assert.ok(text.length < 300_000, `${text.length} characters`)
  assert.match(text, /^\+ 1000 "stays"\n/)
})
