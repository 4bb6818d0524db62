/** `xaps import` and `xaps export` as commands, on a real LMDB store. */

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Ended, run, XAPS } from '../e2e/run.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'
import * as files from './import/files.ts'

const { exampleLine, exportOf, goDatabase, PYTHON_DATABASE, TOKEN_A, TOKEN_B, TOKEN_C, TOPIC } = files

/** A Haraka directory of its own; `apns` goes into its xaps.ini. */
function harakaDirectory(t: TestContext, apns = APNS): string {
  const temp = owned(t, tempDirectory())
  mkdirSync(path.join(temp.path, 'config'))
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(path.join(temp.path, 'config', 'key.p8'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  writeFileSync(path.join(temp.path, 'config', 'xaps.ini'), apns)
  return temp.path
}

const APNS = `[apns]
token_key = config/key.p8
key_id = ABCDEFGHIJ
team_id = ABCDEFGHIJ
topic = ${TOPIC}
`

interface Run {
  dir: string
  /** Standard input. */
  input?: string
  node?: readonly string[]
}

function xaps({ dir, input = '', node = [] }: Run, ...args: readonly string[]): Promise<Ended> {
  return run(process.execPath, [...node, XAPS, '-c', dir, ...args], { cwd: dir, input })
}

/** The counts of the table, by their labels. */
function counts({ stdout }: Ended): Record<string, number> {
  const rows = stdout.matchAll(/^ *(\S.*?) {2,}(\d+)$/gm)
  return Object.fromEntries([...rows].map(([, label, count]) => [label, Number(count)]))
}

async function devicesIn(dir: string): Promise<files.Line[]> {
  const { status, stdout, stderr } = await xaps({ dir }, 'export')
  assert.deepEqual([status, stderr], [0, ''])
  const lines = stdout.split('\n').filter(line => line !== '')
  return lines.map(line => JSON.parse(line) as files.Line).sort((a, b) => (a.token < b.token ? -1 : 1))
}

const hoursAgo = (hours: number): string => new Date(Date.now() - hours * 3_600_000).toISOString()

test("the Python daemon's database is imported, with the topic of the credentials, and a second time nothing", async t => {
  const dir = harakaDirectory(t)
  const file = path.join(dir, 'xapsd.json')
  writeFileSync(file, PYTHON_DATABASE)
  const first = await xaps({ dir }, 'import', file)
  assert.deepEqual([first.status, first.stderr], [0, ''])
  assert.match(first.stdout, /^database of the Python daemon\n/)
  assert.deepEqual(counts(first), { taken: 3, renewed: 0, 'already known': 0, skipped: 0 })
  const devices = await devicesIn(dir)
  assert.deepEqual(
    devices.map(({ user, account, token, mailboxes, topic }) => [user, account, token, mailboxes, topic]),
    [
      ['alice', 'ACCOUNT-1', TOKEN_A, ['INBOX', 'Entwürfe'], TOPIC],
      ['alice', 'ACCOUNT-1', TOKEN_B, ['INBOX'], TOPIC],
      ['bob', 'ACCOUNT-2', TOKEN_C, ['INBOX'], TOPIC],
    ],
  )
  const second = await xaps({ dir }, 'import', file)
  assert.deepEqual(counts(second), { taken: 0, renewed: 0, 'already known': 3, skipped: 0 })
  assert.deepEqual(await devicesIn(dir), devices)
})

test("a Go daemon's database keeps its times, and a later one renews", async t => {
  const dir = harakaDirectory(t)
  const [earlier, later] = [hoursAgo(48), hoursAgo(24)]
  assert.equal(counts(await xaps({ dir, input: goDatabase(earlier) }, 'import', '-')).taken, 3)
  assert.equal((await devicesIn(dir))[0]?.lastSeen, earlier)
  const renewed = await xaps({ dir, input: goDatabase(later) }, 'import', '-')
  assert.deepEqual(counts(renewed), { taken: 0, renewed: 1, 'already known': 2, skipped: 0 })
  const [device] = await devicesIn(dir)
  assert.deepEqual([device?.registeredAt, device?.lastSeen], [earlier, later])
  const older = await xaps({ dir, input: goDatabase(earlier) }, 'import', '-')
  assert.deepEqual(counts(older), { taken: 0, renewed: 0, 'already known': 3, skipped: 0 })
  assert.equal((await devicesIn(dir))[0]?.lastSeen, later)
})

test('an export comes back as it was, without credentials', async t => {
  const lines: files.Line[] = [TOKEN_A, TOKEN_B, TOKEN_C].map((token, index) => ({
    ...exampleLine,
    token,
    user: ['alice', 'bü😀b@example.org', '__proto__'][index] ?? '',
    mailboxes: [['INBOX'], ['INBOX', '&APw-', 'a\u2028b'], ['Tom & Jerry', 'Entwürfe']][index] ?? [],
    topic: `${TOPIC}.${index}`,
    registeredAt: hoursAgo(100 + index),
    lastSeen: hoursAgo(index),
  }))
  const [from, to] = [harakaDirectory(t, ''), harakaDirectory(t, '')]
  assert.equal(counts(await xaps({ dir: from, input: exportOf(...lines) }, 'import', '-')).taken, 3)
  const { stdout } = await xaps({ dir: from }, 'export')
  assert.equal(counts(await xaps({ dir: to, input: stdout }, 'import', '-')).taken, 3)
  assert.deepEqual(await devicesIn(to), lines)
  assert.equal((await xaps({ dir: to }, 'export')).stdout, stdout)
})

test('a dry run changes nothing and reports what the real run then does', async t => {
  const dir = harakaDirectory(t)
  const dry = await xaps({ dir, input: PYTHON_DATABASE }, 'import', '--dry-run', '-')
  assert.equal(dry.status, 0)
  assert.match(dry.stdout, /dry run: nothing is changed/)
  assert.ok(!readdirSync(dir).includes('xaps'), 'no store is made for it')
  assert.deepEqual(counts(dry), counts(await xaps({ dir, input: PYTHON_DATABASE }, 'import', '-')))
})

test('what is skipped is named on standard error and counted by reason', async t => {
  const dir = harakaDirectory(t, '')
  const masked = { token: 'a1a1a1a1…a1a1' }
  const input = exportOf({ ...masked }, { ...masked, user: 'bob' }, { lastSeen: '2001-01-01T00:00:00Z' })
  const run = await xaps({ dir, input }, 'import', '-')
  assert.equal(run.status, 0)
  assert.deepEqual(counts(run), {
    taken: 0,
    renewed: 0,
    'already known': 0,
    skipped: 3,
    'device token: expected an even number of hex digits, 32 to 200': 2,
    'expired: not renewed for expire_days': 1,
  })
  assert.equal(run.stderr.match(/^skipped \S+ a1a1a1a1…a1a1: /gm)?.length, 3)
})

test('an old database without credentials is refused with what to do', async t => {
  const dir = harakaDirectory(t, '')
  const { status, stdout, stderr } = await xaps({ dir, input: PYTHON_DATABASE }, 'import', '-')
  assert.deepEqual([status, stdout], [1, ''])
  assert.match(stderr, /^xaps: standard input: .*so set \[apns\] first: .*\[apns\] names no credentials.*\n$/)
})

test('a file that cannot be taken is refused with one line, and no store is made for it', async t => {
  const dir = harakaDirectory(t)
  const at = (name: string) => path.join(dir, name)
  writeFileSync(at('garbage'), 'hello\n')
  writeFileSync(at('cut'), PYTHON_DATABASE.slice(0, -30))
  writeFileSync(at('huge'), '{')
  truncateSync(at('huge'), 501 * 1024 * 1024)
  for (const [file, reason] of [
    ['missing', /^xaps: .*ENOENT[^\n]*\n$/],
    ['config', /^xaps: .*EISDIR[^\n]*\n$/],
    ['garbage', /^xaps: .*garbage: not valid JSON: it is damaged or cut off\n$/],
    ['cut', /^xaps: .*cut: not valid JSON: it is damaged or cut off\n$/],
    ['huge', /^xaps: .*huge: larger than 524288000 bytes; an export may be imported in parts[^\n]*\n$/],
  ] as const) {
    const { status, stdout, stderr } = await xaps({ dir }, 'import', at(file))
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, reason)
  }
  assert.ok(!readdirSync(dir).includes('xaps'))
})

test('an export cut off is taken up to there, which it says', async t => {
  const lines = exportOf({ lastSeen: hoursAgo(1) }, { user: 'bob', lastSeen: hoursAgo(1) })
  const cut = await xaps({ dir: harakaDirectory(t), input: lines.slice(0, -30) }, 'import', '-')
  assert.deepEqual([cut.status, counts(cut).taken], [1, 1])
  assert.match(cut.stderr, /^xaps: standard input: line 2 is not valid JSON: it is damaged or cut off\n$/)
})

const MANY = 20_000

test(`${MANY} devices are imported, and exported in bounded memory`, async t => {
  const dir = harakaDirectory(t)
  const mailboxes = Array.from({ length: 40 }, (_, index) => `A folder with a long name ${index}`)
  const users = Array.from({ length: MANY }, (_, index) => {
    const DeviceToken = index.toString(16).padStart(64, '0')
    return [`user${index}@example.org`, { Accounts: { A: { DeviceToken, Mailboxes: mailboxes } } }]
  })
  const input = JSON.stringify({ Users: Object.fromEntries(users) })
  const taken = await xaps({ dir, input }, 'import', '-')
  assert.deepEqual([taken.status, taken.stderr], [0, ''])
  assert.equal(counts(taken).taken, MANY)
  const exported = await xaps({ dir, node: ['--max-old-space-size=48'] }, 'export')
  assert.equal(exported.status, 0)
  assert.equal(exported.stdout.split('\n').length, MANY + 1)
})
