import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { owned } from '../support/owned.ts'
import { accepts, freePort, processEntry } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { phoneOf, registerByHttp, registerByLine } from './dovecot-plugins.ts'
import { companionAnswers, mailTo, pluginLines, pushed, type Site, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')
const BOB = phoneOf('bob@example.com')
const CAROL = phoneOf('carol@example.com')
const OK = `OK ${MAIL_TOPIC}\r\n`

for (const nodes of [0, 2]) {
  test(`a companion that is killed is back, with nodes=${nodes}`, async t => {
    const { apple, ...site } = await startSite(t, { nodes })
    await registerByLine(site.socket, ALICE)
    const first = companionOf(site)
    process.kill(first, 'SIGKILL')
    await until(() => !processEntry(first), 'its end')

    await t.test('a phone that registers meanwhile waits and is served, at both doors', async () => {
      const overHttp = registerByHttp(site.httpPort, CAROL)
      assert.equal(await registerByLine(site.socket, BOB), OK)
      assert.equal((await overHttp).status, 200)
    })
    await t.test('it serves both doors again', async () => {
      await until(() => companionOf(site) !== first, 'another companion')
      await companionAnswers(site)
      assert.equal(await registerByLine(site.socket, BOB), OK)
    })
    await t.test('what it had answered is there', async () => {
      await mailTo(site, ALICE.user, BOB.user)
      assert.equal((await pushed(apple, site, 2)).length, 2)
    })
    await t.test('the log tells of each change once', () => {
      const told = pluginLines(site.log()).filter(line => /companion is/.test(line))
      const states = told.map(line => /companion is (?:up|gone)/.exec(line)?.[0])
      assert.ok(
        states.every((state, index) => state !== states[index - 1]),
        told.join('\n'),
      )
    })
  })
}

test('a Haraka that is killed takes its companion with it, and the next one takes over', async t => {
  const temp = owned(t, tempDirectory())
  const xaps = { registration: { socket: path.join(temp.path, 'xapsd.sock') } }
  const site = await startSite(t, { xaps })
  const companion = companionOf(site)
  await site.kill()
  await until(() => !processEntry(companion), 'the end of its companion')
  const next = await startSite(t, { xaps })
  assert.equal(next.socket, site.socket)
  assert.equal(await registerByLine(next.socket, ALICE), OK)
})

test('a socket that another process serves is left to it, and taken when it is free', async t => {
  const temp = owned(t, tempDirectory())
  const socket = path.join(temp.path, 'xapsd.sock')
  const other = await serverAt(socket)
  t.after(other.stop)
  const { lmtp, ...site } = await startSite(t, { xaps: { registration: { socket } }, companion: false })

  await t.test('the log says what to do, and mail is delivered', async () => {
    await site.waitForLog(/\[ERROR\].*xapsd\.sock: another process serves it; stop what uses it/)
    await mailTo(site, ALICE.user)
    await until(() => lmtp.mails.length === 1, 'the mail')
    assert.equal(await registerByLine(socket, ALICE), 'the other\r\n')
  })
  await t.test('HTTP is served meanwhile', async () => {
    await until(() => accepts({ port: site.httpPort, host: '127.0.0.1' }), 'the companion by HTTP')
  })
  await t.test('the companion serves it when the other is gone', async () => {
    await other.stop()
    await companionAnswers(site)
    assert.equal(await registerByLine(socket, ALICE), OK)
  })
})

test('a companion that hangs is replaced, and a phone that registered meanwhile is served', async t => {
  const site = await startSite(t)
  await registerByLine(site.socket, ALICE)
  const first = companionOf(site)
  process.kill(first, 'SIGSTOP')
  const waiting = registerByHttp(site.httpPort, BOB)
  await until(() => !processEntry(first), 'its end', 30_000)
  // Requests that the hanging one had accepted are lost with it; a client without an answer asks again.
  assert.equal(await registerByLine(site.socket, BOB), OK)
  await waiting.catch(() => undefined)
  const told = pluginLines(site.log()).filter(line => /companion is gone/.test(line))
  assert.equal(told.length, 1)
  assert.match(told[0] ?? '', /silent for 10 s/)
})

test('a port that another process has is tried again, and holds up neither the socket nor another port', async t => {
  const taken = net.createServer().listen(0, '127.0.0.1')
  await until(() => taken.listening, 'the other server')
  const { port } = taken.address() as net.AddressInfo
  const free = await freePort()
  const xaps = { registration: { listen: `127.0.0.1:${port}, localhost:${free}` } }
  const site = await startSite(t, { xaps, companion: false })
  await until(() => accepts({ port: free, host: 'localhost' }), 'the free port')
  assert.equal(await until(() => registerByLine(site.socket, ALICE), 'the socket'), OK)
  await site.waitForLog(new RegExp(`127.0.0.1:${port}: another process listens there`))
  await new Promise(resolve => taken.close(resolve))
  const reply = await until(() => registerByHttp(port, BOB), 'the other port')
  assert.equal(reply.status, 200)
  assert.equal((await registerByHttp(port, CAROL)).status, 200)
})

test('the socket has its mode and its place, and is removed at the end', async t => {
  const temp = owned(t, tempDirectory())
  const socket = path.join(temp.path, 'xapsd.sock')
  const xaps = { registration: { socket, socket_mode: '0600' } }
  const site = await startSite(t, { xaps })
  assert.equal(statSync(socket).mode & 0o777, 0o600)
  await site.stop()
  assert.equal(existsSync(socket), false)
})

async function serverAt(socketPath: string): Promise<{ stop(): Promise<void> }> {
  const server = net.createServer(socket =>
    socket
      .on('error', () => socket.destroy())
      .resume()
      .end('the other\r\n'),
  )
  server.listen(socketPath)
  await until(() => server.listening, 'the other server')
  return { stop: () => new Promise(resolve => void server.close(() => resolve())) }
}

function companionOf(site: Site): number {
  const companion = site.children().find(({ command }) => / serve /.test(command))
  assert.ok(companion, 'a companion runs')
  return companion.pid
}
