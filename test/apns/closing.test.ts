/** The end of the connection to Apple: bounded, whatever the other side does. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import test from 'node:test'
import type { Apple } from '../fake/apple/server.ts'
import { OK } from '../push/parts.ts'
import { until } from '../support/wait.ts'
import { type Bench, bench, certificateFor, endpointOf, sendMany, TIMEOUT_MS } from './bench.ts'

test('close lets what is under way finish', async t => {
  const b = await bench(t)
  await b.send(0)
  b.apple.faults.latency(100)
  const last = b.send(1)
  await b.apple.waitForRequest(2)
  await b.transport.close(TIMEOUT_MS)
  assert.deepEqual(await last, OK)
})

test('close ends in time, whatever the connection does', async t => {
  const ways: Record<string, (b: Bench) => unknown> = {
    'nothing was sent': () => undefined,
    idle: b => b.send(1),
    'black hole while idle': async b => {
      await b.send(1)
      b.apple.faults.blackHole()
    },
    'black hole with pushes': async b => {
      await b.send(1)
      b.apple.faults.blackHole()
      void sendMany(b, 10)
    },
    'black hole on the way up': b => {
      b.apple.faults.blackHole()
      void sendMany(b, 10)
    },
    'black hole after a graceful GOAWAY': async b => {
      await b.send(1)
      b.apple.faults.hang()
      void b.send(1)
      await b.apple.waitForRequest(2)
      b.apple.faults.goAwayGracefully()
      await new Promise(resolve => setTimeout(resolve, 50))
      b.apple.faults.blackHole()
    },
    'a port that is closed': async b => {
      await b.apple.faults.refuse()
      await b.send(1)
    },
  }
  for (const [way, prepare] of Object.entries(ways)) {
    const b = await bench(t)
    await prepare(b)
    const since = Date.now()
    await b.transport.close(200)
    assert.ok(Date.now() - since < TIMEOUT_MS, way)
  }
})

for (const [name, prepare] of [
  ['an Apple that answers', () => undefined],
  ['an Apple that never answers', (apple: Apple) => apple.faults.hang()],
  ['a network that swallows everything', (apple: Apple) => apple.faults.blackHole()],
] as const) {
  test(`a closed transport to ${name} keeps no process alive`, async t => {
    const { apple } = await bench(t)
    prepare(apple)
    const args = [certificateFor(apple), { ...endpointOf(apple), requestTimeoutMs: 60_000 }]
    const child = spawn(process.execPath, [
      path.join(__dirname, 'closing-process.js'),
      ...args.map(arg => JSON.stringify(arg)),
    ])
    t.after(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    await until(() => apple.connections.attempts === 1, 'a connection')
    child.stdin.write('close')
    const since = Date.now()
    const [code] = await once(child, 'exit')
    assert.equal(code, 0)
    assert.ok(Date.now() - since < 20_000)
  })
}

test('a closed transport opens no connection', async t => {
  const b = await bench(t)
  await b.transport.close()
  b.transport.connect()
  assert.equal((await b.send(1)).kind, 'broken connection')
  assert.equal(b.apple.connections.attempts, 0)
})
