/** `xaps devices`: its JSON lines, its table, and that it reads no more than its reader takes. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { PassThrough, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { deviceTable } from '../../plugins/xaps/cli/device-table.ts'
import { jsonLines, listedIn } from '../../plugins/xaps/cli/devices.ts'
import { writeLines } from '../../plugins/xaps/cli/output.ts'
import { ago } from '../../plugins/xaps/cli/times.ts'
import type { Came, Device } from '../../plugins/xaps/device/device.ts'
import { registering } from '../device/fixtures.ts'
import { XAPS, xaps } from '../e2e/run.ts'
import { missingTerminal, onTerminal } from '../support/terminal.ts'
import { until } from '../support/wait.ts'
import { isIdle, manyUsers, storeOf } from './stores.ts'

const USERS = 20_000

test('devices reads no more of the store than its reader takes', async t => {
  const { dir, store } = await storeOf(t, manyUsers(USERS))
  const args = [XAPS, '-c', dir, 'devices', '--full']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await until(isIdle(child.pid ?? 0), 'the command to wait for its reader')
  // The last user has not been read yet, so this is seen.
  await store.update('user19999', registering('bb'.repeat(32)))
  const lines = (await text(child.stdout)).trimEnd().split('\n')
  assert.equal(lines.length, USERS + 1)
  assert.deepEqual(
    lines.slice(-2).map(line => [JSON.parse(line).user, JSON.parse(line).token.slice(0, 4)]),
    [
      ['user19999', 'aaaa'],
      ['user19999', 'bbbb'],
    ],
  )
})

const HOUR = 3_600_000
const NOW = Date.UTC(2026, 10, 24, 18)

const device: Device = {
  account: 'ACCOUNT-1',
  token: 'a1'.repeat(32),
  mailboxes: ['INBOX'],
  subtopic: 'com.apple.mobilemail',
  topic: 'topic',
  registeredAt: NOW - 50 * HOUR,
  lastSeen: NOW - 2 * HOUR,
}

type Row = readonly [user: string, devices: readonly Device[], came?: Came]

async function* stored(rows: readonly Row[], failure?: Error) {
  yield* rows
  if (failure) throw failure
}

const listed = (...rows: Row[]) => listedIn(stored(rows), NOW)

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

test('each device is a JSON line', async () => {
  const lines = await collected(jsonLines(listed(['bob', [device, { ...device, account: 'B' }]]), true))
  assert.equal(lines.length, 2)
  assert.deepEqual(JSON.parse(lines[0] ?? ''), {
    user: 'bob',
    ...device,
    registeredAt: '2026-11-22T16:00:00.000Z',
    lastSeen: '2026-11-24T16:00:00.000Z',
  })
})

const came = { at: NOW - HOUR, afterMs: 1_234 }

test('what a push has brought is in the JSON of the devices of its user, where it is known', async () => {
  const rows = [['alice', [device], came] as const, ['bob', [device], { at: came.at }] as const]
  const lines = await collected(jsonLines(listed(...rows, ['carol', [device]]), false))
  const known = lines.map(line => JSON.parse(line))
  assert.deepEqual(
    known.map(({ userCameAt, userCameAfterMs }) => [userCameAt, userCameAfterMs]),
    [
      ['2026-11-24T17:00:00.000Z', 1_234],
      ['2026-11-24T17:00:00.000Z', undefined],
      [undefined, undefined],
    ],
  )
})

test('the table says what is known, in as many columns as fit', async () => {
  const left = { ...device, account: 'LEFT', lastSeen: NOW - 80 * HOUR }
  const rows = [['alice', [device], came] as const, ['bob', [device, left]] as const]
  const linesAt = (width: number) =>
    collected(deviceTable(new PassThrough(), listed(...rows), { full: width > 200, width, now: NOW }))
  const remark = 'came by push 1 h ago, 1.2 s after it'
  const line = (user: string, account: string, seen: string, remarks: string) =>
    `${user}  ${account}  a1a1a1a1…a1a1  ${seen}    2 d ago     ${remarks.padEnd(remark.length)}  topic  INBOX`
  assert.deepEqual(await linesAt(200), [
    `USER   ACCOUNT    TOKEN          LAST SEEN  REGISTERED  ${'REMARKS'.padEnd(remark.length)}  TOPIC  MAILBOXES`,
    line('alice', 'ACCOUNT-1', '2 h ago', remark),
    line('bob  ', 'ACCOUNT-1', '2 h ago', ''),
    line('bob  ', 'LEFT     ', '3 d ago', 'superseded'),
  ])
  assert.equal((await linesAt(56))[1], 'alice  ACCOUNT-1  a1a1a1a1…a1a1  2 h ago    came b…er it')
  assert.match((await linesAt(201))[1] ?? '', /(?:a1){32}/)
})

test('a time is told in its largest unit', () => {
  const told = [-5_000, 59_999, 60_000, 2 * HOUR, 47 * HOUR, 480 * HOUR].map(ms => ago(NOW - ms, NOW))
  assert.deepEqual(told, ['just now', 'just now', '1 min ago', '2 h ago', '1 d ago', '20 d ago'])
})

test('devices is a table on a terminal, JSON lines elsewhere and where they are asked for', {
  skip: missingTerminal(),
}, async t => {
  const { dir } = await storeOf(t, ['alice@example.org', 'zoë\u202e@example.org'])
  const devices = [process.execPath, XAPS, '-c', dir, 'devices']
  const colours = (await onTerminal(t, devices)).stdout
  assert.ok(colours.startsWith('\x1b[1mUSER\x1b[22m '), colours)
  const plain = await onTerminal(t, devices, { env: { NO_COLOR: '1' }, columns: 100 })
  const [titles, alice, zoe, count] = plain.stdout.split('\n')
  assert.match(titles ?? '', /^USER {2,}ACCOUNT {2,}TOKEN {2,}LAST SEEN {2,}REGISTERED/)
  assert.match(alice ?? '', /^alice@example\.org .* aaaaaaaa…aaaa {2}just now/)
  assert.match(zoe ?? '', /^zoë\\u202e@example\.org /)
  assert.match(count ?? '', /^2 devices; /)
  const json = await onTerminal(t, [...devices, '--json'])
  assert.equal(json.stdout, (await xaps(['-c', dir, 'devices'])).stdout)
  assert.equal(JSON.parse(json.stdout.split('\n')[0] ?? '').user, 'alice@example.org')
})

test('lines are written, and the output stays open', async () => {
  async function* lines() {
    yield* ['a', 'b']
  }
  const output = new PassThrough()
  assert.equal(await writeLines(output, lines()), 2)
  assert.deepEqual([output.writable, String(output.read())], [true, 'a\nb\n'])
})

test('writing rejects when the store fails after what it gave before, and when the output does', async () => {
  const output = new PassThrough()
  const failing = jsonLines(listedIn(stored([['bob', [device]]], new Error('damaged')), NOW), true)
  await assert.rejects(writeLines(output, failing), /damaged/)
  assert.equal(JSON.parse(String(output.read())).user, 'bob')
  const closed = new Writable({ write: (_piece, _encoding, done) => done(new Error('closed')) })
  closed.on('error', () => undefined)
  await assert.rejects(writeLines(closed, jsonLines(listed(['bob', [device]]), true)), /closed/)
})
