import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { SharedLog } from '../../plugins/xaps/device/shared-log.ts'
import { tempDirectory } from '../support/temp.ts'

const PERIOD_MS = 600_000
const NOW = 1_000 * PERIOD_MS

const temp = tempDirectory()
after(temp.remove)
let directories = 0

function fresh(count = 2) {
  const directory = path.join(temp.path, `log${directories++}`)
  fs.mkdirSync(directory)
  const logs = Array.from({ length: count }, () => new SharedLog(directory, 'test'))
  return { directory, logs: logs as [SharedLog, SharedLog] }
}

test('all read the same lines in the same order, each once, over any turn of periods', () => {
  const step = fc.record({ who: fc.nat(2), ms: fc.constantFrom(0, 1, PERIOD_MS / 2) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const { logs } = fresh(3)
      const read: string[][] = logs.map(() => [])
      let now = NOW
      const append = (who: number, line: string) => read[who]?.push(...(logs[who]?.append(line, now) ?? []))
      // All are there from the beginning: who comes late misses what is older than two periods.
      for (const who of [0, 1, 2]) append(who, `first ${who}`)
      for (const [index, { who, ms }] of steps.entries()) {
        now += ms
        append(who, `line ${index}`)
        assert.equal(read[who]?.at(-1), `line ${index}`)
        // Who has nothing to append for longer than a period loses what lies between.
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

test('who comes late reads this period and the one before', () => {
  const { logs } = fresh()
  const [first, second] = logs
  first.append('long past', NOW - PERIOD_MS)
  first.append('before', NOW)
  first.append('now', NOW + PERIOD_MS)
  assert.deepEqual(second.append('mine', NOW + PERIOD_MS), ['before', 'now', 'mine'])
})

test('what was not read before the turn of a period is read after it', () => {
  const { logs } = fresh()
  const [first, second] = logs
  first.append('a', NOW)
  assert.deepEqual(second.append('b', NOW), ['a', 'b'])
  first.append('c', NOW)
  assert.deepEqual(second.append('d', NOW + PERIOD_MS), ['c', 'd'])
  assert.deepEqual(first.append('e', NOW + PERIOD_MS), ['d', 'e'])
})

test('two files are kept, others are left alone', () => {
  const { directory, logs } = fresh()
  for (const name of ['test-of-old', 'testament', 'data.mdb'])
    fs.writeFileSync(path.join(directory, name), '')
  for (const period of [0, 1, 2, 5]) logs[0].append('line', NOW + period * PERIOD_MS)
  assert.deepEqual(fs.readdirSync(directory).sort(), ['data.mdb', 'test-1005.log', 'testament'])
  logs[0].append('line', NOW + 6 * PERIOD_MS)
  assert.equal(fs.readdirSync(directory).length, 4)
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

test('who comes late to a very long file reads its end', () => {
  const { logs } = fresh()
  const [first, second] = logs
  const long = 'x'.repeat(1024 * 1024)
  for (let index = 0; index < 12; index++) first.append(long, NOW)
  first.append('near the end', NOW)
  const lines = second.append('mine', NOW)
  assert.ok(lines.length < 12)
  assert.deepEqual(lines.slice(-2), ['near the end', 'mine'])
})

test('a link in the place of a file is not followed', () => {
  const { directory, logs } = fresh()
  const target = path.join(directory, 'target')
  fs.writeFileSync(target, 'untouched')
  fs.symlinkSync(target, path.join(directory, 'test-1000.log'))
  assert.throws(() => logs[0].append('line', NOW), /ELOOP/)
  assert.equal(fs.readFileSync(target, 'utf8'), 'untouched')
})
