/** The routes of the status page and /metrics: what is served, to whom, and what readers of /events cost. */

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import os from 'node:os'
import { type TestContext, test } from 'node:test'
import type { Overview } from '../../plugins/xaps/observe/overview.ts'
import type { HttpParts } from '../../plugins/xaps/registration/http-server.ts'
import { MOST_READERS } from '../../plugins/xaps/registration/overview-stream.ts'
import { overviewOf } from '../observe/overviews.ts'
import { turns } from '../support/fake-clock.ts'
import { until } from '../support/wait.ts'
import { answers, ask, serve } from './http-listener.ts'
import { type Client, connect, heldClock } from './tools.ts'

const AT = Date.UTC(2030, 0, 1)
const VIEW = { overview: () => overviewOf('usual', AT), metrics: () => Promise.resolve('xaps_devices 3\n') }
const PATHS = ['/', '/xaps.js', '/xaps.css', '/icon.svg', '/status.json', '/metrics']

const get = (path: string, method = 'GET', host = 'localhost') =>
  `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`

const served = (t: TestContext, more: Partial<HttpParts> = {}) => serve(t, {}, { view: VIEW, ...more })

for (const path of PATHS) {
  test(`GET and HEAD ${path} answer, for this page alone and kept nowhere`, async t => {
    const { address } = await served(t)
    const { status, head, body } = await ask(address, get(path))
    assert.equal(status, 200)
    assert.notEqual(body, '')
    for (const header of [
      /^content-security-policy: default-src 'self';.* frame-ancestors 'none'/im,
      /^x-content-type-options: nosniff/im,
      /^referrer-policy: no-referrer/im,
      /^cache-control: no-store/im,
    ])
      assert.match(head, header)
    const only = await ask(address, get(path, 'HEAD'))
    assert.deepEqual([only.status, only.body], [200, ''])
    assert.equal((await ask(address, get(path, 'DELETE'))).status, 405)
  })
}

test('/status.json is the overview, /metrics is what the processes count', async t => {
  const { address } = await served(t)
  const overview = await ask(address, get('/status.json'))
  assert.match(overview.head, /^content-type: application\/json/im)
  assert.deepEqual(JSON.parse(overview.body), VIEW.overview())
  const metrics = await ask(address, get('/metrics'))
  assert.match(metrics.head, /^content-type: text\/plain; version=0\.0\.4/im)
  assert.equal(metrics.body, 'xaps_devices 3\n')
})

for (const path of [...PATHS, '/events']) {
  test(`${path} is not for other peers, nor for other hosts' names`, async t => {
    const { address } = await served(t, { statusFrom: ['192.0.2.0/24', '::1'] })
    const { status, body } = await ask(address, get(path))
    assert.deepEqual([status, body], [403, 'only peers in [registration] status_from may read this\n'])
    assert.equal((await ask(address, get(path, 'GET', 'evil.example'))).status, 421)
    assert.equal((await ask(address, get('/healthz'))).status, 200)
  })
}

test('a peer on another address of this machine reads when it is named', async t => {
  const [own] = Object.values(os.networkInterfaces())
    .flatMap(found => found ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
  if (!own) return t.skip('not run: this machine has loopback alone')
  for (const [statusFrom, status] of [
    [['127.0.0.0/8', '::1'], 403],
    [[own.address], 200],
    [[own.cidr ?? ''], 200],
  ] as const) {
    const { listener } = await served(t, { statusFrom, listen: ['0.0.0.0:0'] })
    await new Promise<void>(resolve => listener.server.close(() => resolve()))
    await new Promise<void>(resolve => listener.server.listen(0, '::', resolve))
    const { port } = listener.server.address() as { port: number }
    const answer = await ask({ port, host: own.address }, get('/status.json', 'GET', own.address))
    assert.equal(answer.status, status, String(statusFrom))
  }
})

test('without a view there is neither page nor /metrics', async t => {
  const { address } = await serve(t)
  for (const path of [...PATHS, '/events']) assert.equal((await ask(address, get(path))).status, 404, path)
})

test('an overview or metrics that fail are a fault of ours, and cost nothing else', async t => {
  const overview = (): Overview => {
    throw new Error('secret')
  }
  const metrics = () => Promise.reject(new Error('secret'))
  const { address, log } = await served(t, { view: { overview, metrics } })
  for (const path of ['/status.json', '/metrics']) {
    const { status, body } = await ask(address, get(path))
    assert.deepEqual([status, body], [500, 'internal error\n'])
  }
  const events = await connect(address, get('/events'))
  await until(() => events.received().endsWith('\r\n\r\n3\r\n:\n\n\r\n'), 'a heartbeat instead')
  events.socket.destroy()
  assert.deepEqual(log.messages(), ['error a request failed'])
  assert.equal((await ask(address, get('/'))).status, 200)
})

test('many that ask at once cost one overview and one exposition', async t => {
  const made = { overview: 0, metrics: 0 }
  const view = {
    overview: () => {
      made.overview += 1
      return VIEW.overview()
    },
    metrics: () => {
      made.metrics += 1
      return VIEW.metrics()
    },
  }
  const { address } = await served(t, { view })
  for (const path of ['/status.json', '/metrics']) {
    const client = await connect(address, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(20))
    await answers(client, 20)
    client.socket.destroy()
  }
  assert.ok(made.overview <= 4 && made.metrics <= 4, JSON.stringify(made))
})

test('metrics that hang are waited for five seconds', async t => {
  const clock = heldClock(AT)
  const metrics = () => new Promise<string>(() => undefined)
  const { address, log } = await serve(t, { clock }, { view: { ...VIEW, metrics } })
  const client = await connect(address, get('/metrics'))
  await until(async () => {
    await clock.advance(1_000)
    return client.received() !== ''
  }, 'an answer')
  assert.match(await client.ended, /^HTTP\/1\.1 500 /)
  assert.equal(log.entries[0]?.fields.reason, 'metrics: no answer within 5000 ms')
})

const messages = (client: Client) => client.received().split('event: overview\n').length - 1

test('/events has an overview at once and every five seconds, and ends with the server', async t => {
  const clock = heldClock(AT)
  const { address, listener } = await serveAt(t, clock)
  const clients = [await connect(address, get('/events')), await connect(address, get('/events'))]
  const has = (count: number) =>
    until(() => clients.every(client => messages(client) === count), `${count} overviews`)
  await has(1)
  await clock.advance(4_999)
  await turns()
  await has(1)
  for (const count of [2, 3, 4]) {
    await clock.advance(count === 2 ? 1 : 5_000)
    await has(count)
  }
  const [head = '', first = ''] = (clients[0]?.received() ?? '').split('event: overview\n')
  assert.match(head, /^content-type: text\/event-stream/im)
  assert.deepEqual(JSON.parse(/data: (.*)\n\n/.exec(first)?.[1] ?? ''), VIEW.overview())
  const closed = listener.close(60_000)
  for (const client of clients) assert.match(await client.ended, /\r\n0\r\n\r\n$/)
  await closed
  assert.equal(clock.timers, 0)
})

test('readers of /events are counted: one too many is told so, and one that leaves makes room', async t => {
  const clock = heldClock(AT)
  const { address } = await serveAt(t, clock)
  const clients: Client[] = []
  for (let count = 0; count < MOST_READERS; count += 1) clients.push(await connect(address, get('/events')))
  await until(() => clients.every(client => messages(client) === 1), 'all readers')
  const { status, body } = await ask(address, get('/events'))
  assert.deepEqual([status, body], [503, 'too many readers of /events\n'])
  for (const client of clients.slice(1)) client.socket.destroy()
  await until(async () => {
    const next = await connect(address, get('/events'))
    await until(() => next.received() !== '', 'an answer')
    next.socket.destroy()
    return next.received().startsWith('HTTP/1.1 200')
  }, 'room')
  clients[0]?.socket.destroy()
})

test('requests for /events that share a connection cost one place, and none when it has ended', async t => {
  const clock = heldClock(AT)
  const { address } = await serveAt(t, clock)
  const client = await connect(
    address,
    `GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(3 * MOST_READERS),
  )
  await until(() => messages(client) === 1, 'an overview')
  const other = await connect(address, get('/events'))
  await until(() => messages(other) === 1, 'room for another')
  for (const { socket } of [client, other]) socket.destroy()
  await until(() => clock.timers === 0, 'the end of all')
})

test('a reader that takes nothing is held one message, and is left after a while', async t => {
  const clock = heldClock(AT)
  // No kernel holds this much for a connection, so that the first message is not through.
  const large = { ...VIEW.overview(), version: 'x'.repeat(32 * 1024 * 1024) }
  const { address, listener } = await serveAt(t, clock, () => large)
  const accepted = new Promise<Socket>(resolve => listener.server.once('connection', resolve))
  const client = await connect(address)
  client.socket.pause()
  client.socket.write(get('/events'))
  const socket = await accepted
  await until(() => socket.writableLength > 0, 'the first message')
  const held = () => socket.writableLength
  const first = held()
  for (let count = 1; count < 6; count += 1) {
    await clock.advance(5_000)
    assert.ok(held() <= first, `after ${count} messages`)
    assert.ok(!socket.destroyed)
  }
  await clock.advance(5_000)
  await until(() => socket.destroyed, 'the end')
  client.socket.destroy()
})

async function serveAt(t: TestContext, clock: ReturnType<typeof heldClock>, overview = VIEW.overview) {
  return serve(t, { clock }, { view: { ...VIEW, overview } })
}
