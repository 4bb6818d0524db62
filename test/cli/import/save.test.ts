import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Entry } from '../../../plugins/xaps/cli/import/formats.ts'
import { type ImportRules, importAll, rehearse, Tally } from '../../../plugins/xaps/cli/import/save.ts'
import { EMPTY_RECORD, type UserRecord } from '../../../plugins/xaps/device/device.ts'
import type { DeviceStore } from '../../../plugins/xaps/device/store.ts'
import { exampleLine, TOKEN_B, TOKEN_C } from './files.ts'

type Update = DeviceStore['update']

const rules: ImportRules = {
  lowercase: true,
  subtopics: ['com.apple.mobilemail'],
  now: Date.parse('2026-02-10T00:00:00Z'),
  expireAfterMs: 30 * 86_400_000,
  topic: '',
  canonicalMailboxes: true,
  maxDevices: 2,
}

/** Users' records in memory, changed after a turn of the event loop as a real store changes them. */
function memory(records = new Map<string, UserRecord>()): { records: typeof records; update: Update } {
  const update: Update = async (user, change) => {
    await new Promise(setImmediate)
    const record = change(records.get(user) ?? EMPTY_RECORD)
    records.set(user, record)
    return record
  }
  return { records, update }
}

async function take(entries: Iterable<Entry>, update: Update): Promise<{ table: string[]; notes: string[] }> {
  const notes: string[] = []
  const tally = new Tally(line => notes.push(line))
  await importAll(entries, update, rules, tally)
  return { table: tally.lines().map(line => line.trim().replace(/ {2,}/g, ': ')), notes }
}

const MIXED: readonly Entry[] = [
  exampleLine,
  { ...exampleLine, token: TOKEN_B },
  { ...exampleLine, user: 'Alice', token: TOKEN_B },
  { ...exampleLine, token: TOKEN_C, lastSeen: '2026-02-01T00:00:00Z' },
  { ...exampleLine, user: 'b\u001bob', token: 'nothing' },
  { ...exampleLine, user: '', token: 1 },
  { ...exampleLine, user: 'carol', lastSeen: '2020-01-01T00:00:00Z' },
]

const silent = () => undefined

test('counts what is taken, known and skipped, and names each skipped device, its token masked', async () => {
  const { table, notes } = await take(MIXED, memory().update)
  assert.deepEqual(table.slice(0, 4), ['taken: 2', 'renewed: 0', 'already known: 1', 'skipped: 4'])
  assert.deepEqual(table.slice(4).sort(), [
    'device token: missing or not a text: 1',
    'expired: not renewed for expire_days: 1',
    'no room: the user has max_devices later ones: 1',
    'user name: no control characters allowed: 1',
  ])
  assert.deepEqual(notes.sort(), [
    'skipped (no user) (no token): device token: missing or not a text',
    'skipped alice c3c3c3c3…c3c3: no room: the user has max_devices later ones',
    'skipped b\u001bob noth…: user name: no control characters allowed',
    'skipped carol a1a1a1a1…a1a1: expired: not renewed for expire_days',
  ])
})

test('a rehearsal asks the store for each user once, reports the same and changes nothing', async () => {
  const { update, records } = memory()
  const asked: string[] = []
  const asking: Update = (user, change) => {
    asked.push(user)
    return update(user, change)
  }
  const rehearsed = await take(MIXED, rehearse({ update: asking }))
  assert.deepEqual(asked, ['alice'])
  assert.ok([...records.values()].every(({ devices }) => devices.length === 0))
  assert.deepEqual(rehearsed, await take(MIXED, update))
})

test('what Apple reported gone since does not come back, in a rehearsal neither', async () => {
  const { account, token } = exampleLine
  const gone = { devices: [], gone: [{ account, token, at: rules.now }] }
  const { update } = memory(new Map([['alice', gone]]))
  for (const how of [rehearse({ update }), update]) {
    const { notes } = await take([exampleLine], how)
    assert.deepEqual(notes, ['skipped alice a1a1a1a1…a1a1: gone: Apple has reported it since'])
  }
})

test('every device is counted as it is handled', async () => {
  const seen: number[] = []
  const tally = new Tally(silent, devices => seen.push(devices))
  await importAll(MIXED, memory().update, rules, tally)
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7])
})

test('a store that fails ends it at once, with what was taken counted', async () => {
  const { update } = memory()
  let left = 5
  const failing: Update = (user, change) => {
    left -= 1
    return left < 0 ? Promise.reject(new Error('the disk is full')) : update(user, change)
  }
  function* endless(): Generator<Entry> {
    for (let index = 0; ; index += 1) yield { ...exampleLine, user: `user${index}` }
  }
  const tally = new Tally(silent)
  await assert.rejects(importAll(endless(), failing, rules, tally), /the disk is full/)
  assert.match(tally.lines()[0] ?? '', /^taken +5$/)
})
