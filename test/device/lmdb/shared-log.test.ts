import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { SharedLog } from '../../../plugins/xaps/device/lmdb/shared-log.ts'
import { tempDirectory } from '../../support/temp.ts'

const PERIOD_MS = 600_000
const NOW = 1_000 * PERIOD_MS

const temp = tempDirectory()
after(temp.remove)
let directories = 0

function fresh(count = 2) {
  const directory = path.join(temp.path, `log${directories++}`)
  fs.mkdirSync(directory)
  const undeleted: unknown[] = []
  const open = () => new SharedLog(directory, 'test', error => undeleted.push(error))
  return { directory, undeleted, logs: Array.from({ length: count }, open) as [SharedLog, SharedLog] }
}

test('all read the same lines in the same order, each once, over any turn of periods', () => {
  const step = fc.record({ who: fc.nat(2), ms: fc.constantFrom(0, 1, PERIOD_MS / 2) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const { logs } = fresh(3)
      const read: string[][] = logs.map(() => [])
      let now = NOW
      const append = (who: number, line: string) => read[who]?.push(...(logs[who]?.append(line, now) ?? []))
      // All are there from the beginning: a later reader misses lines older than two periods.
      for (const who of [0, 1, 2]) append(who, `first ${who}`)
      for (const [index, { who, ms }] of steps.entries()) {
        now += ms
        append(who, `line ${index}`)
        assert.equal(read[who]?.at(-1), `line ${index}`)
        // A reader that appends nothing for longer than a period loses the lines between.
        for (const other of [0, 1, 2]) if (other !== who) append(other, `${other} after ${index}`)
      }
      for (const who of [0, 1, 2]) append(who, `last ${who}`)
      const longest = read[2] ?? []
      for (const lines of read) assert.deepEqual(lines, longest.slice(0, lines.length))
      assert.equal(longest.length, 6 + 3 * steps.length)
      for (const log of logs) log.close()
    }),
    { numRuns: 50 },
  )
})

test('a later reader gets this period and the one before', () => {
  const { logs } = fresh()
  const [first, second] = logs
  first.append('long past', NOW - PERIOD_MS)
  first.append('before', NOW)
  first.append('now', NOW + PERIOD_MS)
  assert.deepEqual(second.append('mine', NOW + PERIOD_MS), ['before', 'now', 'mine'])
})

test('a line not read before the turn of a period is read after it', () => {
  const { logs } = fresh()
  const [first, second] = logs
  first.append('a', NOW)
  assert.deepEqual(second.append('b', NOW), ['a', 'b'])
  first.append('c', NOW)
  assert.deepEqual(second.append('d', NOW + PERIOD_MS), ['c', 'd'])
  assert.deepEqual(first.append('e', NOW + PERIOD_MS), ['d', 'e'])
})

test('two files are kept, and all foreign ones', () => {
  const { directory, logs } = fresh()
  const others = ['data.mdb', 'other-1.log', 'test-of-old', 'test-99999.log', 'test-1003.log.draft']
  for (const name of [...others, 'test-7.log', 'test-7.log.draft'])
    fs.writeFileSync(path.join(directory, name), '')
  for (const period of [0, 1, 2, 3]) logs[0].append('line', NOW + period * PERIOD_MS)
  const kept = [...others, 'test-1002.log', 'test-1003.log']
  assert.deepEqual(fs.readdirSync(directory).sort(), kept.sort())
})

test('a file that cannot be deleted is told, and costs no line and no descriptor', () => {
  const { directory, logs, undeleted } = fresh()
  fs.mkdirSync(path.join(directory, 'test-7.log'))
  const [first, second] = logs
  first.append('a', NOW)
  const before = fs.readdirSync('/proc/self/fd').length
  for (let period = 1; period < 20; period++) first.append(`${period}`, NOW + period * PERIOD_MS)
  assert.equal(fs.readdirSync('/proc/self/fd').length, before)
  assert.equal(undeleted.length, 20)
  assert.deepEqual(second.append('b', NOW + 19 * PERIOD_MS), ['18', '19', 'b'])
})

test('files that cannot be opened cost no descriptor', () => {
  const { directory, logs } = fresh()
  logs[0].append('a', NOW)
  const before = fs.readdirSync('/proc/self/fd').length
  for (let period = 1001; period < 1020; period++) {
    fs.symlinkSync('nowhere', path.join(directory, `test-${period}.log`))
    assert.throws(() => logs[0].append('line', period * PERIOD_MS), /ELOOP/)
  }
  assert.ok(fs.readdirSync('/proc/self/fd').length <= before)
})

test('a file that somebody cuts off is read from its new beginning', () => {
  const { directory, logs } = fresh()
  const [first, second] = logs
  for (const log of logs) log.append('a line of some length', NOW)
  const [file = ''] = fs.readdirSync(directory)
  fs.truncateSync(path.join(directory, file))
  assert.deepEqual(first.append('b', NOW), ['b'])
  assert.deepEqual(second.append('c', NOW), ['b', 'c'])
  assert.deepEqual(first.append('d', NOW), ['c', 'd'])
})

test('a clock that is set back does no harm', () => {
  const { logs } = fresh()
  const [first, second] = logs
  first.append('a', NOW)
  second.append('b', NOW)
  assert.deepEqual(first.append('c', NOW - 10 * PERIOD_MS), ['b', 'c'])
  assert.deepEqual(second.append('d', NOW - 10 * PERIOD_MS), ['c', 'd'])
})

test('a line cut off by a full disk spoils no other', () => {
  const { directory, logs } = fresh()
  const [first, second] = logs
  first.append('whole', NOW)
  const [file = ''] = fs.readdirSync(directory)
  fs.appendFileSync(path.join(directory, file), '\ncut o')
  assert.deepEqual(second.append('after', NOW), ['whole', 'cut o', 'after'])
  assert.deepEqual(first.append('again', NOW), ['cut o', 'after', 'again'])
})

test('any text without line ends comes back as it was', () => {
  const { logs } = fresh()
  const [first, second] = logs
  for (const text of ['ä€🚀'.repeat(1_000), ' ', '\u2028', '\r']) {
    first.append(text, NOW)
    assert.equal(second.append('next', NOW).at(-2), text)
  }
})

test('a late reader gets the end of a very long file', () => {
  const { logs } = fresh(3)
  const [writer, ...readers] = logs
  readers[0]?.append('early', NOW)
  const long = 'x'.repeat(1024 * 1024)
  for (let index = 0; index < 12; index++) writer.append(long, NOW)
  for (const reader of readers) {
    writer.append('near the end', NOW)
    const lines = reader.append('mine', NOW)
    assert.ok(lines.filter(line => line === long).length < 8)
    assert.deepEqual(lines.slice(-2), ['near the end', 'mine'])
  }
})

test('a link in the place of a file is not followed', () => {
  const { directory, logs } = fresh()
  const target = path.join(directory, 'target')
  fs.writeFileSync(target, 'untouched')
  fs.symlinkSync(target, path.join(directory, 'test-1000.log'))
  assert.throws(() => logs[0].append('line', NOW), /ELOOP/)
  assert.equal(fs.readFileSync(target, 'utf8'), 'untouched')
})
