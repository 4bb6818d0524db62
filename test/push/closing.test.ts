/** The end of the connection to Apple: bounded, whatever the other side does. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import test from 'node:test'
import type { Apple } from '../fake/apple/server.ts'
import { until } from '../support/wait.ts'
import { certificateFor, endpointOf, faultOf, type Line, line, sendMany, TIMEOUT_MS } from './line.ts'
import { OK } from './parts.ts'

test('close lets what is under way finish', async t => {
  const l = await line(t)
  await l.send(0)
  l.apple.faults.latency(100)
  const last = l.send(1)
  await l.apple.waitForRequest(2)
  await l.transport.close(TIMEOUT_MS)
  assert.deepEqual(await last, OK)
})

test('close ends in time, whatever the connection does', async t => {
  const ways: Record<string, (l: Line) => unknown> = {
    'nothing was sent': () => undefined,
    idle: l => l.send(1),
    'black hole while idle': async l => {
      await l.send(1)
      l.apple.faults.blackHole()
    },
    'black hole with pushes': async l => {
      await l.send(1)
      l.apple.faults.blackHole()
      void sendMany(l, 10)
    },
    'black hole on the way up': l => {
      l.apple.faults.blackHole()
      void sendMany(l, 10)
    },
    'black hole after a graceful GOAWAY': async l => {
      await l.send(1)
      l.apple.faults.hang()
      void l.send(1)
      await l.apple.waitForRequest(2)
      l.apple.faults.goAwayGracefully()
      await new Promise(resolve => setTimeout(resolve, 50))
      l.apple.faults.blackHole()
    },
    'a port that is closed': async l => {
      await l.apple.faults.refuse()
      await l.send(1)
    },
  }
  for (const [way, prepare] of Object.entries(ways)) {
    const l = await line(t)
    await prepare(l)
    const since = Date.now()
    await l.transport.close(200)
    assert.ok(Date.now() - since < TIMEOUT_MS, way)
  }
})

for (const [name, prepare] of [
  ['an Apple that answers', () => undefined],
  ['an Apple that never answers', (apple: Apple) => apple.faults.hang()],
  ['a network that swallows everything', (apple: Apple) => apple.faults.blackHole()],
] as const) {
  test(`a closed transport to ${name} keeps no process alive`, async t => {
    const { apple } = await line(t)
    prepare(apple)
    const args = [certificateFor(apple), { ...endpointOf(apple), requestTimeoutMs: 60_000 }]
    const child = spawn(process.execPath, [
      path.join(__dirname, 'closing.js'),
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
  const l = await line(t)
  await l.transport.close()
  l.transport.connect()
  assert.equal(faultOf(await l.send(1)), 'connection')
  assert.equal(l.apple.connections.attempts, 0)
})
