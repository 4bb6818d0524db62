import assert from 'node:assert/strict'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { listenLocally } from '../support/loopback.ts'
import { owned } from '../support/owned.ts'
import { accepts, freePort, processEntry } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { phoneOf, registerByHttp, registerByLine } from './dovecot-plugins.ts'
import { companionAnswers, OK, startSite } from './setup.ts'

const ALICE = phoneOf('alice@example.com')
const BOB = phoneOf('bob@example.com')
const CAROL = phoneOf('carol@example.com')

for (const nodes of [0, 2]) {
  test(`a companion that is killed is back, with nodes=${nodes}`, async t => {
    const site = await startSite(t, { nodes })
    await site.register(ALICE)
    const first = site.companion()
    process.kill(first, 'SIGKILL')
    await until(() => !processEntry(first), 'its end')

    await t.test('a phone that registers meanwhile waits and is served, at both doors', async () => {
      const overHttp = registerByHttp(site.httpPort, CAROL)
      await site.register(BOB)
      assert.equal((await overHttp).status, 200)
    })
    await t.test('it serves both doors again', async () => {
      await until(() => site.companion() !== first, 'another companion')
      await companionAnswers(site)
      await site.register(BOB)
    })
    await t.test('what it had answered is there', async () => {
      await site.mail(ALICE.user, BOB.user)
      await site.pushed(2)
      assert.deepEqual(site.tokens(), [ALICE.token, BOB.token].sort())
    })
    await t.test('the log tells of each change once', () => {
      const told = site.lines(/companion is/)
      const states = told.map(line => /companion is (?:up|gone)/.exec(line)?.[0])
      assert.ok(
        states.every((state, index) => state !== states[index - 1]),
        told.join('\n'),
      )
    })
  })
}

test('a Haraka that is killed takes its companion with it, and the next one takes over', async t => {
  const xaps = { registration: { socket: socketFor(t) } }
  const site = await startSite(t, { xaps })
  const companion = site.companion()
  await site.kill()
  await until(() => !processEntry(companion), 'the end of its companion')
  const next = await startSite(t, { xaps })
  assert.equal(next.socket, site.socket)
  await next.register(ALICE)
})

test('a socket that another process serves is left to it, and taken when it is free', async t => {
  const socket = socketFor(t)
  const other = owned(t, await listenLocally(client => void client.resume().end('the other\r\n'), socket))
  const site = await startSite(t, { xaps: { registration: { socket } }, companion: false })

  await t.test('the log says what to do, and mail is delivered', async () => {
    await site.waitForLog(/\[ERROR\].*xapsd\.sock: another process serves it; stop what uses it/)
    await site.mail(ALICE.user)
    await site.delivered(1)
    assert.equal(await registerByLine(socket, ALICE), 'the other\r\n')
  })
  await t.test('HTTP is served meanwhile', async () => {
    await until(() => accepts({ port: site.httpPort, host: '127.0.0.1' }), 'the companion by HTTP')
  })
  await t.test('the companion serves it when the other is gone', async () => {
    await other.stop()
    await companionAnswers(site)
    await site.register(ALICE)
  })
})

test('a companion that hangs is replaced, and a phone that registered meanwhile is served', async t => {
  const site = await startSite(t)
  await site.register(ALICE)
  const first = site.companion()
  process.kill(first, 'SIGSTOP')
  const waiting = registerByHttp(site.httpPort, BOB)
  await until(() => !processEntry(first), 'its end', 30_000)
  // Requests that the hanging one had accepted are lost with it; a client without an answer asks again.
  await site.register(BOB)
  await waiting.catch(() => undefined)
  const told = site.lines(/companion is gone/)
  assert.equal(told.length, 1)
  assert.match(told[0] ?? '', /silent for 10 s/)
})

test('a port that another process has is tried again, and holds up neither the socket nor another port', async t => {
  const taken = owned(t, await listenLocally(client => void client.destroy()))
  const { port } = taken
  const free = await freePort()
  const xaps = { registration: { listen: `127.0.0.1:${port}, localhost:${free}` } }
  const site = await startSite(t, { xaps, companion: false })
  await until(() => accepts({ port: free, host: 'localhost' }), 'the free port')
  assert.equal(await until(() => registerByLine(site.socket, ALICE), 'the socket'), OK)
  await site.waitForLog(new RegExp(`127.0.0.1:${port}: another process listens there`))
  await taken.stop()
  const reply = await until(() => registerByHttp(port, BOB), 'the other port')
  assert.equal(reply.status, 200)
  assert.equal((await registerByHttp(port, CAROL)).status, 200)
})

function socketFor(t: TestContext): string {
  return path.join(owned(t, tempDirectory()).path, 'xapsd.sock')
}
