import assert from 'node:assert/strict'
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import test, { type TestContext } from 'node:test'
import { watchFiles } from '../../plugins/xaps/base/watched-files.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

/** Watches the files `cert` and `key` in a directory of their own. */
function watched(t: TestContext) {
  const directory = owned(t, tempDirectory())
  const clock = new FakeClock()
  const file = (name: string) => path.join(directory.path, name)
  const write = (name: string, content: string) => writeFileSync(file(name), content)
  const w = { clock, file, write, files: ['cert', 'key'], changes: 0, close: () => watch.close() }
  write('cert', 'first')
  write('key', 'first')
  const watch = watchFiles(
    () => w.files.map(file),
    () => {
      w.changes += 1
    },
    clock,
  )
  return w
}

test('files that do not change are not read again', async t => {
  const w = watched(t)
  await w.clock.advance(600_000)
  assert.equal(w.changes, 0)
})

test('a changed file is told within 10 seconds, once', async t => {
  const w = watched(t)
  w.write('cert', 'second, longer')
  await w.clock.advance(10_000)
  assert.equal(w.changes, 1)
  await w.clock.advance(60_000)
  assert.equal(w.changes, 1)
})

test('a file that is replaced by another is noticed, also through a symbolic link', async t => {
  const w = watched(t)
  w.write('new', 'first')
  renameSync(w.file('new'), w.file('cert'))
  await w.clock.advance(10_000)
  assert.equal(w.changes, 1)
  w.write('elsewhere', 'third one')
  rmSync(w.file('cert'))
  symlinkSync(w.file('elsewhere'), w.file('cert'))
  await w.clock.advance(10_000)
  assert.equal(w.changes, 2)
})

test('files that are written one after the other, or in steps, are told when a second has passed without a change', async t => {
  const w = watched(t)
  await w.clock.advance(4_999)
  w.write('cert', 'second, longer')
  for (let step = 1; step <= 8; step += 1) {
    await w.clock.advance(500)
    w.write('key', 'second, longer'.slice(0, step))
    assert.equal(w.changes, 0)
  }
  await w.clock.advance(3_000)
  assert.equal(w.changes, 1)
})

test('a file that is gone, or that may not be looked at, is a change, and ends nothing', async t => {
  const w = watched(t)
  rmSync(w.file('cert'))
  symlinkSync(w.file('cert'), w.file('cert'))
  await w.clock.advance(10_000)
  assert.equal(w.changes, 1)
  rmSync(w.file('cert'))
  w.write('cert', 'back')
  await w.clock.advance(10_000)
  assert.equal(w.changes, 2)
})

test('other files may be watched from some time on', async t => {
  const w = watched(t)
  w.files = ['other']
  w.write('other', 'first')
  await w.clock.advance(10_000)
  assert.equal(w.changes, 1)
  w.write('other', 'second, longer')
  await w.clock.advance(10_000)
  assert.equal(w.changes, 2)
})

test('a closed watch keeps no timer', async t => {
  const w = watched(t)
  await w.clock.advance(7_000)
  w.close()
  assert.equal(w.clock.timers, 0)
})
