import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { HostClaims } from '../../../plugins/xaps/device/lmdb/claims.ts'
import type { Claim, ClaimRequest } from '../../../plugins/xaps/device/store.ts'
import { tempDirectory } from '../../support/temp.ts'
import { movableClock, recordingLog } from '../fixtures.ts'

const temp = tempDirectory()
after(temp.remove)
let directories = 0

const REQUEST: ClaimRequest = { ageMs: 0, windowMs: 5_000 }

/** Two processes' claims, as far as the claims know. */
function twoProcesses() {
  const directory = path.join(temp.path, `store${directories++}`)
  fs.mkdirSync(directory)
  const start = () => {
    const clock = movableClock(1_800_000_000_000)
    const { log, lines } = recordingLog()
    return { claims: new HostClaims(directory, clock, log), clock, lines }
  }
  return { directory, a: start(), b: start() }
}

const kinds = (claims: readonly Claim[]) => claims.map(({ kind }) => kind)

test('of two processes that claim a push at the same moment one gets it', async () => {
  const { a, b } = twoProcesses()
  const asked = [a, b, a, b].map(({ claims }) => claims.claim('push', REQUEST))
  assert.deepEqual(kinds(await Promise.all(asked)), ['granted', 'covered', 'covered', 'covered'])
  assert.equal((await b.claims.claim('another', REQUEST)).kind, 'granted')
  assert.equal((await a.claims.claim('another', REQUEST)).kind, 'covered')
})

test('the first to append wins, not the first to read the clock', async () => {
  const { a, b } = twoProcesses()
  a.clock.move(3)
  await a.claims.claim('push', REQUEST)
  assert.equal((await b.claims.claim('push', { ...REQUEST, ageMs: 2 })).kind, 'covered')
})

test('a clock that is set back holds up no push', async () => {
  const { a, b } = twoProcesses()
  await a.claims.claim('push', REQUEST)
  b.clock.move(-3_600_000)
  assert.equal((await b.claims.claim('push', REQUEST)).kind, 'granted')
  assert.equal((await b.claims.claim('push', REQUEST)).kind, 'covered')
})

test('a request known to be no grant is not appended: others could take it for one', async () => {
  const { directory, a } = twoProcesses()
  await a.claims.claim('push', REQUEST)
  const [file = ''] = fs.readdirSync(directory)
  const { size } = fs.statSync(path.join(directory, file))
  assert.equal((await a.claims.claim('push', REQUEST)).kind, 'covered')
  a.clock.move(1)
  assert.equal((await a.claims.claim('push', REQUEST)).kind, 'wait')
  assert.equal(fs.statSync(path.join(directory, file)).size, size)
})

test('a request at the end is decided, without a file', async () => {
  const { a } = twoProcesses()
  await a.claims.claim('push', REQUEST)
  const waiting = a.claims.claim('another', REQUEST)
  const before = fs.readdirSync('/proc/self/fd').length
  a.claims.close()
  assert.equal((await waiting).kind, 'granted')
  assert.equal((await a.claims.claim('third', REQUEST)).kind, 'granted')
  assert.ok(fs.readdirSync('/proc/self/fd').length < before)
  assert.deepEqual(a.lines, [])
})

test('a claim held is good in every process', async () => {
  const { a, b } = twoProcesses()
  const first = await a.claims.claim('push', REQUEST)
  assert.ok(first.kind === 'granted')
  assert.equal((await b.claims.claim('push', { ...REQUEST, held: first.id })).kind, 'granted')
})

test('a process that starts later knows the claims before it', async () => {
  const { directory, a, b } = twoProcesses()
  await a.claims.claim('push', REQUEST)
  await b.claims.claim('push', REQUEST)
  a.claims.close()
  b.claims.close()
  const late = new HostClaims(directory, a.clock, recordingLog().log)
  assert.equal((await late.claim('push', REQUEST)).kind, 'covered')
})

test('how long ago another process claimed a push is known without a claim of one’s own', async () => {
  const { directory, a, b } = twoProcesses()
  assert.equal(b.claims.sinceLast('push'), undefined)
  await a.claims.claim('push', REQUEST)
  b.clock.move(800)
  assert.equal(b.claims.sinceLast('push'), 800)
  assert.equal(b.claims.sinceLast('another'), undefined)
  a.clock.move(20 * 60_000)
  b.clock.move(20 * 60_000)
  await a.claims.claim('push', REQUEST)
  assert.equal(b.claims.sinceLast('push'), 800)
  b.clock.move(-3_600_000)
  assert.equal(b.claims.sinceLast('push'), undefined)
  fs.rmSync(directory, { recursive: true })
  a.clock.move(20 * 60_000)
  assert.equal(a.claims.sinceLast('push'), 20 * 60_000)
})

test('foreign lines are passed over', async () => {
  const { directory, a, b } = twoProcesses()
  await a.claims.claim('push', REQUEST)
  const [file = ''] = fs.readdirSync(directory)
  for (const text of [
    '\0\0\0',
    'null',
    '[]',
    '{"id":1,"at":"x"}',
    '{"at":1,"asked":{}}',
    '{"id":"x","at":5',
  ]) {
    fs.appendFileSync(path.join(directory, file), `\n${text}\n`)
  }
  assert.equal((await b.claims.claim('push', REQUEST)).kind, 'covered')
  assert.deepEqual(b.lines, [])
})

test('without a directory that can be written nothing is claimed, and nothing kept from others; it is said once, and passes', async () => {
  const { directory, a, b } = twoProcesses()
  fs.rmdirSync(directory)
  for (const { claims, lines } of [a, b]) {
    // The window after a process's own pushes is push/claiming.ts's to keep.
    assert.equal((await claims.claim('push', REQUEST)).kind, 'granted')
    assert.equal((await claims.claim('push', REQUEST)).kind, 'granted')
    assert.deepEqual(await claims.claim('push', { ...REQUEST, held: 7 }), { kind: 'granted', id: 7 })
    assert.deepEqual(
      lines.map(({ level, message }) => [level, message]),
      [['warn', 'pushes are coalesced per process only']],
    )
  }
  fs.mkdirSync(directory)
  assert.equal((await a.claims.claim('push', REQUEST)).kind, 'granted')
  assert.equal((await b.claims.claim('push', REQUEST)).kind, 'covered')
  assert.equal((await b.claims.claim('another', REQUEST)).kind, 'granted')
  assert.equal((await a.claims.claim('another', REQUEST)).kind, 'covered')
  assert.equal(a.lines.at(-1)?.message, 'pushes are coalesced per host again')
})
