/** A command whose reader leaves, whose disk is full, or that is interrupted: real processes, a real shell. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { run, XAPS, xaps } from '../e2e/run.ts'
import { until } from '../support/wait.ts'
import { isIdle, manyUsers, storeOf } from './stores.ts'

const USERS = 20_000

test('head gets its line, and the command ends quietly', async t => {
  const { dir } = await storeOf(t, manyUsers(10_000))
  for (const command of ['devices --json', 'export', 'man', '--help']) {
    const pipe = `"$0" "$1" -c "$2" ${command} | head -1; echo "\${PIPESTATUS[*]}"`
    const { stdout, stderr } = await run('bash', ['-c', pipe, process.execPath, XAPS, dir])
    assert.deepEqual([stdout.split('\n').slice(1), stderr], [['0 0', ''], ''], command)
  }
})

test('a file that cannot be written is a failure with its reason', async t => {
  // The second is less than one piece, which is half written.
  for (const [users, kilobytes] of [
    [5_000, 300],
    [20, 1],
  ] as const) {
    const { dir } = await storeOf(t, manyUsers(users))
    const file = path.join(dir, 'export.jsonl')
    const limited = `ulimit -f ${kilobytes}; exec "$0" "$1" -c "$2" export > "$3"`
    const { status, stderr } = await run('bash', ['-c', limited, process.execPath, XAPS, dir, file])
    assert.equal(status, 1, `${users} users`)
    assert.match(stderr, /^xaps: EFBIG: .*\n$/)
    assert.equal(statSync(file).size, kilobytes * 1024)
  }
})

/** Whether LMDB's table of readers has the process, which only an environment that was closed leaves. */
function hasStoreOpen(dir: string, { pid = 0 }: ChildProcess): boolean {
  const wanted = Buffer.alloc(4)
  wanted.writeInt32LE(pid)
  return readFileSync(path.join(dir, 'xaps', 'lock.mdb')).includes(wanted)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends an export by that signal, quietly, with the store closed`, async t => {
    const { dir } = await storeOf(t, manyUsers(USERS))
    const child = spawn(process.execPath, [XAPS, '-c', dir, 'export'], { stdio: ['ignore', 'pipe', 'pipe'] })
    t.after(() => child.kill('SIGKILL'))
    await until(isIdle(child.pid ?? 0), 'the command to wait for its reader')
    assert.equal(hasStoreOpen(dir, child), true)
    child.kill(signal)
    assert.deepEqual(await once(child, 'exit'), [null, signal])
    assert.equal(hasStoreOpen(dir, child), false)
    assert.equal(await text(child.stderr), '')
  })
}

test('SIGINT ends an import with what it has done, and it can be repeated', async t => {
  const { dir, store } = await storeOf(t, [])
  const count = 40_000
  const line = (user: string) =>
    `${JSON.stringify({
      user,
      account: 'A',
      token: 'aa'.repeat(32),
      mailboxes: ['INBOX'],
      subtopic: 'com.apple.mobilemail',
      topic: 'topic',
      registeredAt: new Date().toISOString(),
      lastSeen: new Date().toISOString(),
    })}\n`
  const file = path.join(dir, 'many.jsonl')
  writeFileSync(file, manyUsers(count).map(line).join(''))
  const args = [XAPS, '-c', dir, 'import', '--json', file]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  await until(async () => (await store.devices('user00000')).length > 0, 'the first device')
  child.kill('SIGINT')
  const [output, errors, end] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ])
  assert.deepEqual([errors, end], ['', [null, 'SIGINT']])
  const { taken } = JSON.parse(output)
  assert.ok(taken > 0 && taken < count, output)
  const again = JSON.parse((await xaps(['-c', dir, 'import', '--json', file])).stdout)
  assert.deepEqual([again.taken + again.known, again.skipped], [count, 0])
  assert.ok(again.known >= taken, 'what was told as taken is in the store')
})
