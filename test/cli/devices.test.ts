import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { openStore } from '../../plugins/xaps/device/open.ts'
import { registering, silentLog } from '../device/fixtures.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const USERS = 20_000
const IDLE_LOOKS = 10

test('devices reads no more of the store than its reader takes', async t => {
  const temp = tempDirectory()
  t.after(temp.remove)
  mkdirSync(path.join(temp.path, 'config'))
  writeFileSync(path.join(temp.path, 'config', 'xaps.ini'), '')
  const store = await openStore({
    uri: 'lmdb:xaps',
    namespace: 'xaps',
    expireAfterMs: 86_400_000,
    harakaDir: temp.path,
    log: silentLog,
  })
  t.after(() => store.close())
  const name = (index: number) => `user${String(index).padStart(5, '0')}`
  const all = Array.from({ length: USERS }, (_, index) =>
    store.update(name(index), registering('aa'.repeat(32))),
  )
  await Promise.all(all)

  const main = path.join(__dirname, '../../plugins/xaps/cli/main.js')
  const child = spawn(process.execPath, [main, '-c', temp.path, 'devices', '--full'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await until(isIdle(child.pid ?? 0), 'the command to wait for its reader')
  // Who comes last has not been read yet, so this is seen.
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
