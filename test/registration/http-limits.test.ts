/** What the HTTP listener does about clients that are broken, slow, hostile or gone, and how it closes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeHttpServer } from '../../plugins/xaps/registration/http-server.ts'
import { Unfinished } from '../../plugins/xaps/registration/receive.ts'
import { until } from '../support/wait.ts'
import { answers, ask, CLOSE, HTTP, parse, serve } from './http-listener.ts'
import { makeListener, NOTIFY_BODY, post, registerBody, TOPIC } from './listeners.ts'
import { type Client, connect } from './tools.ts'

test('answers what is no HTTP with 400 and closes', async t => {
  const { address } = await serve(t)
  assert.equal((await ask(address, 'REGISTER aps-account-id="A"\r\n\r\n')).status, 400)
  assert.equal((await ask(address, 'POST /notify HTTP/1.1\r\nContent-Length: -1\r\n\r\n')).status, 400)
})

test('answers headers without end with 431 and closes', async t => {
  const { address } = await serve(t)
  assert.equal((await ask(address, `GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).status, 431)
})

test('keeps idle connections for more than an hour and gives a request 10 seconds', () => {
  const { server } = makeHttpServer({ ...HTTP, ...makeListener().parts })
  assert.ok(server.keepAliveTimeout >= 3_600_000)
  assert.equal(server.headersTimeout, 10_000)
  assert.equal(server.requestTimeout, 10_000)
})

for (const [what, bytes] of [
  ['headers', 'POST /register HT'],
  ['body', post('/register', registerBody()).slice(0, -5)],
] as const) {
  test(`ends a request whose ${what} stop half way`, async t => {
    const { listener, address } = await serve(t)
    // Node's own timers: they cannot be held, only shortened.
    listener.server.headersTimeout = 20
    listener.server.requestTimeout = 20
    assert.equal((await ask(address, bytes)).status, 408)
  })
}

test('the memory of a client that goes away in the middle of a body is free again', async t => {
  const { address, parts } = await serve(t, { unfinished: new Unfinished(10_000) })
  const client = await connect(address, post('/register', 'x'.repeat(9_000)).slice(0, 8_000))
  await until(() => parts.unfinished.held > 5_000, 'the body to come in')
  client.socket.resetAndDestroy()
  await until(() => parts.unfinished.held === 0, 'the memory to be free again')
})

test('500 half-sent requests do not keep a good one from its answer', async t => {
  const { address } = await serve(t)
  const clients: Client[] = []
  for (let i = 0; i < 500; i += 1) clients.push(await connect(address, 'POST /register HTTP/1.1\r\nHost: '))
  assert.equal((await ask(address, post('/register', registerBody(), CLOSE))).status, 200)
  for (const { socket } of clients) socket.destroy()
})

test('closing ends idle connections and finishes the requests in hand', async t => {
  let answer: (topic: string) => void = () => undefined
  const { listener, address, registered } = await serve(t, {
    accept: () => new Promise(resolve => (answer = resolve)),
  })
  const idle = await connect(address, post('/notify', NOTIFY_BODY))
  await answers(idle, 1)
  const asking = await connect(address, post('/register', registerBody()))
  await until(() => registered.length === 1, 'the registration')
  const closed = listener.close(10_000)
  await idle.ended
  answer(TOPIC)
  assert.equal(parse(await asking.ended).status, 200)
  await closed
})
