import assert from 'node:assert/strict'
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import test, { type TestContext } from 'node:test'
import type { Credentials } from '../../plugins/xaps/apns/credentials.ts'
import { announceExpiry, expiryWarning, watchCredentials } from '../../plugins/xaps/apns/renewal.ts'
import { TOPIC } from '../push/parts.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'
import { tempDirectory } from '../support/temp.ts'

const DAY_MS = 86_400_000

function credentials(notAfter?: number): Credentials {
  const auth = { kind: 'certificate', cert: '', key: '' } as const
  return { auth, topic: TOPIC, topics: [TOPIC], ...(notAfter === undefined ? {} : { notAfter }) }
}

interface Watched {
  readonly clock: FakeClock
  readonly log: RecordedLog
  readonly renewed: Credentials[]
  load: () => Credentials
  file(name: string): string
  write(name: string, content: string): void
  stop(): void
}

/** Watches the files `cert` and `key` in a directory of their own. */
function watched(t: TestContext): Watched {
  const directory = tempDirectory()
  t.after(() => directory.remove())
  const w: Watched = {
    clock: new FakeClock(),
    log: recordedLog(),
    renewed: [],
    load: () => credentials(),
    file: name => path.join(directory.path, name),
    write: (name, content) => writeFileSync(w.file(name), content),
    stop: () => renewal.close(),
  }
  w.write('cert', 'first')
  w.write('key', 'first')
  const renewal = watchCredentials(
    [w.file('cert'), w.file('key')],
    () => w.load(),
    renewed => w.renewed.push(renewed),
    w.log,
    w.clock,
  )
  return w
}

test('a changed file is read within 10 seconds, once; files that do not change are not, and a closed watch ends', async t => {
  const w = watched(t)
  await w.clock.advance(600_000)
  assert.deepEqual(w.log.lines, [])
  w.write('cert', 'second, longer')
  await w.clock.advance(10_000)
  assert.equal(w.renewed.length, 1)
  await w.clock.advance(60_000)
  assert.equal(w.renewed.length, 1)
  assert.deepEqual(w.log.loud(), [
    'notice: the credentials for Apple changed on disk; the new ones are in use',
  ])
  w.stop()
  assert.equal(w.clock.timers, 0)
})

test('a file that is replaced by another is noticed, also through a symbolic link', async t => {
  const w = watched(t)
  w.write('new', 'first')
  renameSync(w.file('new'), w.file('cert'))
  await w.clock.advance(10_000)
  assert.equal(w.renewed.length, 1)
  w.write('elsewhere', 'third one')
  rmSync(w.file('cert'))
  symlinkSync(w.file('elsewhere'), w.file('cert'))
  await w.clock.advance(10_000)
  assert.equal(w.renewed.length, 2)
})

test('certificate and key that are written one after the other are read when both are there', async t => {
  const w = watched(t)
  w.load = () => {
    throw new Error('certificate and key do not belong together')
  }
  await w.clock.advance(4_999)
  w.write('cert', 'second, longer')
  await w.clock.advance(500)
  w.write('key', 'second, longer')
  w.load = () => credentials(1)
  await w.clock.advance(10_000)
  assert.equal(w.renewed.length, 1)
  assert.equal(w.log.loud().length, 1)
})

test('a bad new file leaves the old credentials in use and is said once; a good one is taken', async t => {
  const w = watched(t)
  w.load = () => {
    throw new Error('expected a PEM certificate')
  }
  w.write('cert', 'garbage, longer')
  await w.clock.advance(120_000)
  assert.equal(w.renewed.length, 0)
  assert.deepEqual(w.log.loud(), [
    'error: the changed credentials are of no use; the old ones stay in use cause="expected a PEM certificate"',
  ])
  w.load = () => credentials(2)
  w.write('cert', 'good again, and longer')
  await w.clock.advance(10_000)
  assert.deepEqual(w.renewed, [credentials(2)])
})

test('a file that is gone, or that may not be looked at, ends nothing', async t => {
  const w = watched(t)
  w.load = () => {
    throw new Error('cannot be read')
  }
  rmSync(w.file('cert'))
  symlinkSync(w.file('cert'), w.file('cert'))
  await w.clock.advance(10_000)
  assert.equal(w.log.loud().length, 1)
  w.load = () => credentials(3)
  rmSync(w.file('cert'))
  w.write('cert', 'back')
  await w.clock.advance(10_000)
  assert.deepEqual(w.renewed, [credentials(3)])
})

const NOW = Date.UTC(2030, 0, 1)

for (const [days, warning] of [
  [undefined, undefined],
  [31, undefined],
  [30, 'the certificate for Apple ends on 2030-01-31, in 30 days'],
  [0.5, 'the certificate for Apple ends on 2030-01-01, in 1 day'],
  [0, 'the certificate for Apple ended on 2030-01-01: no push gets through until it is renewed'],
  [-9, 'the certificate for Apple ended on 2029-12-23: no push gets through until it is renewed'],
] as const) {
  test(`${days} days before the end of a certificate the warning is: ${warning}`, () => {
    assert.equal(expiryWarning(days === undefined ? undefined : NOW + days * DAY_MS, NOW), warning)
  })
}

/** How many days were left at each line. */
function daysLeft(log: RecordedLog): string[] {
  return log.lines.map(({ message }) => /in (\d+) day/.exec(message)?.[1] ?? 'none')
}

test('the end of a certificate is announced 30, 14, 7 and 1 days before, and when it has come', async () => {
  const clock = new FakeClock(NOW)
  const log = recordedLog()
  const announcing = announceExpiry(() => credentials(NOW + 40.5 * DAY_MS), log, clock)
  await clock.advance(60 * DAY_MS)
  assert.deepEqual(daysLeft(log), ['30', '14', '7', '1', 'none'])
  announcing.close()
  assert.equal(clock.timers, 0)
})

test('a certificate that is about to end is announced at the start, and a new one ends the announcements', async () => {
  const clock = new FakeClock(NOW)
  const log = recordedLog()
  let current = credentials(NOW + 3 * DAY_MS)
  announceExpiry(() => current, log, clock)
  await clock.advance(0)
  assert.deepEqual(daysLeft(log), ['3'])
  current = credentials(NOW + 368 * DAY_MS)
  await clock.advance(30 * DAY_MS)
  assert.deepEqual(daysLeft(log), ['3'])
})
