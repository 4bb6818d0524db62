import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { asJson, asText, writeDevices } from '../../plugins/xaps/cli/devices.ts'
import type { Device } from '../../plugins/xaps/device/device.ts'
import { openStore } from '../../plugins/xaps/device/open.ts'
import { registering, silentLog } from '../device/fixtures.ts'
import { XAPS } from '../e2e/run.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const USERS = 20_000
const IDLE_LOOKS = 10

test('devices reads no more of the store than its reader takes', async t => {
  const temp = owned(t, tempDirectory())
  mkdirSync(path.join(temp.path, 'config'))
  writeFileSync(path.join(temp.path, 'config', 'xaps.ini'), '')
  const harakaDir = temp.path
  const place = { uri: 'lmdb:xaps', namespace: 'xaps', expireAfterMs: 86_400_000, harakaDir }
  const store = owned(t, await openStore({ ...place, log: silentLog }))
  const name = (index: number) => `user${String(index).padStart(5, '0')}`
  const registered = registering('aa'.repeat(32))
  await Promise.all(Array.from({ length: USERS }, (_, index) => store.update(name(index), registered)))

  const args = [XAPS, '-c', temp.path, 'devices', '--full']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await until(isIdle(child.pid ?? 0), 'the command to wait for its reader')
  // The last user has not been read yet, so this is seen.
  await store.update(name(USERS - 1), registering('bb'.repeat(32)))
  const lines = (await text(child.stdout)).trimEnd().split('\n')
  assert.equal(lines.length, USERS + 1)
  assert.match(lines.at(-1) ?? '', /^user19999 .*bbbb/)
})

/** Whether a process that has written something has used no processor time since some looks ago. */
function isIdle(pid: number): () => boolean {
  const looks: string[] = []
  return () => {
    const [written = '0'] = /(?<=^wchar: )\d+/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8')) ?? []
    const [utime, stime] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
      .slice(11)
    looks.unshift([written, utime, stime].join())
    return (
      Number(written) > 100_000 && new Set(looks.slice(0, IDLE_LOOKS)).size === 1 && looks.length > IDLE_LOOKS
    )
  }
}

const device: Device = {
  account: 'ACCOUNT-1',
  token: 'a1'.repeat(32),
  mailboxes: ['INBOX'],
  subtopic: 'com.apple.mobilemail',
  topic: 'topic',
  registeredAt: 0,
  lastSeen: 1,
}

const records = (count: number, failure?: Error) =>
  (async function* () {
    for (let index = 0; index < count; index += 1) yield [`user${index}`, [device, device]] as const
    if (failure) throw failure
  })()

const write = (output: Writable, users: ReturnType<typeof records>) =>
  writeDevices(output, users, (user, device) => asJson(user, device, true))

test('writes a line for each device, and leaves the output open', async () => {
  const output = new PassThrough()
  await write(output, records(3))
  assert.equal(output.writable, true)
  const lines = String(output.read()).split('\n')
  assert.equal(lines.length, 7)
  assert.deepEqual(JSON.parse(lines[0] ?? ''), {
    user: 'user0',
    ...device,
    registeredAt: '1970-01-01T00:00:00.000Z',
    lastSeen: '1970-01-01T00:00:00.001Z',
  })
})

test('what a push has brought is shown beside the devices of its user, where it is known', async () => {
  const came = { at: Date.UTC(2026, 10, 24, 17, 0, 1), afterMs: 1_234 }
  async function* known() {
    yield ['alice', [device], came] as const
    yield ['bob', [device], { at: came.at }] as const
    yield ['carol', [device]] as const
  }
  const output = new PassThrough()
  await writeDevices(output, known(), (user, owned, _, came) => asJson(user, owned, true, { came }))
  await writeDevices(output, known(), (user, owned, _, came) => asText(user, owned, true, { came }))
  const lines = String(output.read()).trim().split('\n')
  const shown = lines.slice(0, 3).map(line => JSON.parse(line))
  assert.deepEqual(
    shown.map(({ userCameAt, userCameAfterMs }) => [userCameAt, userCameAfterMs]),
    [
      ['2026-11-24T17:00:01.000Z', 1_234],
      ['2026-11-24T17:00:01.000Z', undefined],
      [undefined, undefined],
    ],
  )
  const tail = lines.slice(3).map(line => line.replace(/^.*INBOX/, ''))
  const at = '  user came by push 2026-11-24 17:00'
  assert.deepEqual(tail, [`${at}, 1.2 s after it`, at, ''])
})

test('rejects when the store fails after what it gave before, and when the output does', async () => {
  const output = new PassThrough()
  await assert.rejects(write(output, records(1, new Error('damaged'))), /damaged/)
  assert.equal(JSON.parse(String(output.read()).split('\n')[1] ?? '').user, 'user0')
  const failing = new Writable({ write: (_piece, _encoding, done) => done(new Error('closed')) })
  failing.on('error', () => undefined)
  await assert.rejects(write(failing, records(1)), /closed/)
})
