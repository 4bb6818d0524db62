import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { listenInherited, listenTcp } from '../../plugins/xaps/registration/listener.ts'
import { keptLog } from './tools.ts'

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
