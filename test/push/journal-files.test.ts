import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import test, { type TestContext } from 'node:test'
import { JOURNAL_NAMES, JournalDirectory } from '../../plugins/xaps/push/journal-files.ts'
import { preparePrivate } from '../../plugins/xaps/state.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

function directory(t: TestContext): string {
  return path.join(owned(t, tempDirectory()).path, 'pending')
}

const filesIn = (dir: string) => new JournalDirectory(dir, () => preparePrivate(dir))

test("a process's file is its user's alone, and named after it; it is removed when nothing is pending", t => {
  const dir = directory(t)
  const files = filesIn(dir)
  assert.deepEqual(files.left(), [])
  assert.equal(existsSync(dir), false)
  files.append('one\n')
  files.append('two\n')
  const [name = ''] = readdirSync(dir)
  assert.equal(JOURNAL_NAMES.exec(name)?.[1], String(process.pid))
  assert.deepEqual([statSync(dir).mode & 0o777, statSync(path.join(dir, name)).mode & 0o777], [0o700, 0o600])
  files.close(true)
  assert.deepEqual(readdirSync(dir), [name])
  files.append('three\n')
  files.replace('four\n')
  files.append('five\n')
  files.close(false)
  assert.deepEqual(readdirSync(dir), [])
})

test('the file of a process that is there is not taken, also when another one has its number by now', t => {
  const dir = directory(t)
  const files = filesIn(dir)
  files.append('mine\n')
  const [own = ''] = readdirSync(dir)
  const [, pid, start = ''] = JOURNAL_NAMES.exec(own) ?? []
  assert.deepEqual(files.left(), [])
  const earlier = `${pid}-${BigInt(start) - 1n}.pending`
  writeFileSync(path.join(dir, earlier), 'earlier\n')
  writeFileSync(path.join(dir, 'notes.txt'), 'another file\n')
  assert.deepEqual(files.left(), [earlier])
})

test('one process takes what another one has left when it was killed, and only one', t => {
  const dir = directory(t)
  const module = require.resolve('../../plugins/xaps/push/journal-files.js')
  const script = `
    const { JournalDirectory } = require(${JSON.stringify(module)})
    const files = new JournalDirectory(${JSON.stringify(dir)}, () => require('node:fs').mkdirSync(${JSON.stringify(dir)}))
    files.append('left\\n')
    process.kill(process.pid, 'SIGKILL')`
  assert.equal(spawnSync(process.execPath, ['-e', script]).signal, 'SIGKILL')
  const [first, second] = [filesIn(dir), filesIn(dir)]
  const [name = '', ...others] = first.left()
  assert.deepEqual(others, [])
  assert.deepEqual(second.left(), [name])
  assert.equal(first.take(name), 'left\n')
  assert.equal(second.take(name), undefined)
  first.remove(name)
  assert.deepEqual(readdirSync(dir), [])
})

test('a disk that takes a part of what is written has not kept it, and keeps no draft', t => {
  const dir = directory(t)
  const module = require.resolve('../../plugins/xaps/push/journal-files.js')
  const script = `
    process.on('SIGXFSZ', () => undefined)
    const { JournalDirectory } = require(${JSON.stringify(module)})
    const files = new JournalDirectory(${JSON.stringify(dir)}, () => require('node:fs').mkdirSync(${JSON.stringify(dir)}, { recursive: true }))
    files.append('x'.repeat(1000) + '\\n')
    for (const write of [text => files.append(text), text => files.replace(text)])
      try {
        write('y'.repeat(2000) + '\\n')
      } catch (error) {
        console.log(error.code ?? error.message)
      }`
  // A file of one block of 1024 bytes is as full as a disk.
  const limited = ['-c', 'ulimit -f 1; exec "$0" -e "$1"', process.execPath, script]
  const { stdout, stderr } = spawnSync('bash', limited, { encoding: 'utf8' })
  assert.equal(stdout, 'the disk takes no more\nEFBIG\n', stderr)
  assert.deepEqual(
    readdirSync(dir).map(name => path.extname(name)),
    ['.pending'],
  )
})
