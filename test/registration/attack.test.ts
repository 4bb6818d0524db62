/** Attackers at both listeners of a companion in a process of its own: whole requests are served all the same. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import type { NetConnectOpts } from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { CLOSE, parse } from './http-listener.ts'
import { companionOptions, companionScript, post, registerBody, registerLine } from './listeners.ts'
import { type Client, connect, exchange } from './tools.ts'

interface Target {
  readonly http: NetConnectOpts
  readonly line: NetConnectOpts
  /** What it has logged, one line each. */
  log(): string
}

/** Starts a companion that may have so many files open. It ends with the test. */
async function startTarget(t: TestContext, descriptors: number): Promise<Target> {
  const temp = tempDirectory()
  const options = companionOptions(path.join(temp.path, 's'))
  const script = companionScript(options, "console.log('port', companion.addresses()[0].port)")
  const limited = `ulimit -n ${descriptors} && exec "$0" -e "$1"`
  const child = spawn('sh', ['-c', limited, process.execPath, script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(async () => {
    await ended(child)
    temp.remove()
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const [, port] = await until(() => /^port (\d+)$/m.exec(text), 'the companion to listen')
  return {
    http: { host: '127.0.0.1', port: Number(port) },
    line: { path: options.socket },
    log: () => text,
  }
}

function ended(child: ChildProcess): Promise<unknown> {
  const exit = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  return exit
}

/** Connections that each send `bytes` and then nothing more. */
async function attackers(t: TestContext, count: number, at: NetConnectOpts, bytes: string | Buffer) {
  const clients: Client[] = []
  t.after(() => {
    for (const { socket } of clients) socket.destroy()
  })
  for (let i = 0; i < count; i += 1) clients.push(await connect(at, bytes))
  await until(
    () => clients.every(({ socket }) => socket.writableLength === 0 || socket.destroyed),
    'the attack',
  )
  return clients
}

/** Asserts that of 68 good requests at both listeners, one after another, each is answered. */
async function served({ http, line }: Target): Promise<void> {
  const statuses: number[] = []
  for (let i = 0; i < 34; i += 1) {
    statuses.push(
      parse(await exchange(http, post('/register', registerBody(`u${i}@example.org`), CLOSE))).status,
    )
    assert.match(await exchange(line, registerLine(`u${i}@example.org`)), /^OK T/)
  }
  assert.deepEqual(statuses, Array(34).fill(200))
}

const unfinishedBody = (bytes: number) => post('/register', 'x'.repeat(bytes)).slice(0, -1)
const unfinishedLine = (bytes: number) => `REGISTER aps-account-id="${'x'.repeat(bytes)}`

const FILLERS = [
  [20, 50_000],
  [100, 1_000],
  [60, 100],
] as const

for (const [count, bytes] of [
  [36, 1_000_000],
  [500, 300_000],
] as const) {
  test(`${count} unfinished requests of ${bytes} bytes at each listener keep no good one from its answer`, async t => {
    const target = await startTarget(t, 4_096)
    const bodies = await attackers(t, count, target.http, unfinishedBody(bytes))
    const lines = await attackers(t, count, target.line, unfinishedLine(bytes))
    // What the large ones leave of a shared bound is taken by smaller ones.
    for (const [fillers, size] of FILLERS) await attackers(t, fillers, target.http, unfinishedBody(size))
    await served(target)
    await until(() => bodies.some(({ received }) => / 503 /.test(received())), 'a body to give way')
    await until(() => lines.some(({ received }) => /busy/.test(received())), 'a line to give way')
  })
}

for (const [what, bytes] of [
  ['idle', post('/healthz', '').replace('POST', 'GET')],
  ['unfinished', 'POST /register HT'],
] as const) {
  test(`of 1,000 ${what} connections no more stay than descriptors allow, and a new one is served`, async t => {
    const target = await startTarget(t, 512)
    const clients = await attackers(t, 600, target.http, bytes)
    clients.push(...(await attackers(t, 400, target.line, 'REG')))
    const open = () => clients.filter(({ socket }) => !socket.readableEnded && !socket.destroyed).length
    await until(() => open() <= 512 - 128, 'connections to be closed')
    await served(target)
    assert.equal(target.log().match(/^too many connections/gm)?.length, 1)
    assert.doesNotMatch(target.log(), /could not be accepted/)
  })
}
