import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import {
  isLoopback,
  listenInherited,
  listenTcp,
  parseTcpAddress,
} from '../../plugins/xaps/registration/listener.ts'
import { keptLog } from './tools.ts'

test('reads addresses with a port', () => {
  assert.deepEqual(parseTcpAddress('[::1]:11619'), { host: '::1', port: 11619 })
  assert.deepEqual(parseTcpAddress('127.0.0.1:0'), { host: '127.0.0.1', port: 0 })
  assert.deepEqual(parseTcpAddress('localhost:80'), { host: 'localhost', port: 80 })
})

for (const text of [
  '',
  '11619',
  ':11619',
  '::1:11619',
  '[::1]',
  '[127.0.0.1]:1',
  '127.0.0.1:65536',
  'a b:1',
  'x:-1',
]) {
  test(`does not guess what "${text}" means`, () => {
    assert.throws(() => parseTcpAddress(text), /expected an address and a port, like \[::1\]:11619/)
  })
}

test('knows what only this machine can reach', () => {
  assert.deepEqual(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].map(isLoopback), [true, true, true, true])
  assert.deepEqual(['0.0.0.0', '::', '192.0.2.1', '127.example.org'].map(isLoopback), [
    false,
    false,
    false,
    false,
  ])
})

test('listens, without a warning on loopback', async t => {
  const log = keptLog()
  const server = net.createServer()
  t.after(() => server.close())
  const { port } = await listenTcp(server, '127.0.0.1:0', log)
  assert.ok(port > 0)
  assert.deepEqual(log.entries, [])
})

test('warns when others than this machine can reach it', async t => {
  const log = keptLog()
  const server = net.createServer()
  t.after(() => server.close())
  await listenTcp(server, '0.0.0.0:0', log)
  assert.match(String(log.messages()), /^warn listen is not loopback/)
})

test('names the address that another process has', async t => {
  const first = net.createServer()
  const second = net.createServer()
  t.after(() => first.close())
  const { port } = await listenTcp(first, '127.0.0.1:0', keptLog())
  await assert.rejects(listenTcp(second, `127.0.0.1:${port}`, keptLog()), {
    message: `127.0.0.1:${port}: another process listens there`,
  })
})

test('names the descriptor on which there is nothing to listen', async () => {
  await assert.rejects(listenInherited(net.createServer(), 9999), /descriptor 9999/)
})
