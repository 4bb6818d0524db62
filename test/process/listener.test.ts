import assert from 'node:assert/strict'
import net, { type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { bindTcp, listenInherited, listenTcp } from '../../plugins/xaps/process/listener.ts'
import { keptLog } from '../registration/tools.ts'

const portOf = (server: net.Server) => (server.address() as AddressInfo).port

test('listens, without a warning on loopback', async t => {
  const log = keptLog()
  const server = net.createServer()
  t.after(() => server.close())
  await listenTcp(server, '127.0.0.1:0', log)
  assert.ok(portOf(server) > 0)
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
  await listenTcp(first, '127.0.0.1:0', keptLog())
  const message = `127.0.0.1:${portOf(first)}: another process listens there`
  await assert.rejects(listenTcp(second, `127.0.0.1:${portOf(first)}`, keptLog()), { message })
  await assert.rejects(bindTcp(`127.0.0.1:${portOf(first)}`, keptLog()), { message })
})

test('names the address that this machine does not have', async () => {
  const log = keptLog()
  await assert.rejects(bindTcp('192.0.2.1:0', log), {
    message: '192.0.2.1:0: this machine does not have the address',
  })
  assert.deepEqual(log.entries, [])
})

test('binds a name, and an address before it returns', async t => {
  const results: unknown[] = []
  const bindings = ['127.0.0.1:0', '[::1]:0', 'localhost:0'].map(address => bindTcp(address, keptLog()))
  for (const binding of bindings) {
    const { fd, close } = await binding
    t.after(close)
    results.push(fd)
  }
  assert.equal(new Set(results).size, 3)
})

test('names the descriptor on which there is nothing to listen', async () => {
  await assert.rejects(listenInherited(net.createServer(), 9999), /descriptor 9999/)
})
