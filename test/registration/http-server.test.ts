import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { AddressInfo, NetConnectOpts } from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { Budget } from '../../plugins/xaps/registration/budget.ts'
import { type HttpParts, makeHttpServer } from '../../plugins/xaps/registration/http-server.ts'
import type { NotifyOutcome } from '../../plugins/xaps/registration/notify.ts'
import { Unavailable } from '../../plugins/xaps/registration/refusal.ts'
import { until } from '../support/wait.ts'
import { makeDoor, NOTIFY_BODY, post, registerBody, TOPIC } from './doors.ts'
import { type Client, connect, exchange, turns } from './tools.ts'

const CLOSE = ['Connection: close']

async function serve(t: TestContext, parts: Omit<HttpParts, 'health'> & Partial<HttpParts>) {
  const door = makeHttpServer({ health: () => Promise.resolve(), ...parts })
  await new Promise<void>(resolve => door.server.listen(0, '127.0.0.1', resolve))
  t.after(() => door.close(0))
  const { port } = door.server.address() as AddressInfo
  return { door, address: { port, host: '127.0.0.1' } satisfies NetConnectOpts }
}

/** The parts of an answer; more answers after the first are in `rest`. */
function parse(answer: string) {
  const [head = '', ...tail] = answer.split('\r\n\r\n')
  const after = tail.join('\r\n\r\n')
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0)
  return {
    status: Number(head.split(' ')[1]),
    head,
    body: after.slice(0, length),
    rest: after.slice(length),
  }
}

/** Sends one request and resolves with its answer. The connection ends when `bytes` ask for that. */
async function ask(address: NetConnectOpts, bytes: string | Buffer) {
  return parse(await exchange(address, bytes))
}

async function answers(client: Client, count: number): Promise<string> {
  return until(
    () => (client.received().split('HTTP/1.1 ').length > count ? client.received() : ''),
    `${count} answers`,
  )
}

test('answers a registration with the topic, padded with NUL bytes to the 64 that the plugin needs', async t => {
  const { parts, registered } = makeDoor({ register: () => Promise.resolve('com.example.short') })
  const { address } = await serve(t, parts)
  const { status, head, body } = await ask(
    address,
    post('/register', registerBody('User@example.org'), CLOSE),
  )
  assert.equal(status, 200)
  assert.match(head, /^Content-Type: text\/plain/im)
  assert.equal(body, 'com.example.short'.padEnd(64, '\0'))
  assert.equal(registered[0]?.user, 'user@example.org')
})

test('a topic that is long enough is not padded', async t => {
  const { parts } = makeDoor({ register: () => Promise.resolve('x'.repeat(70)) })
  const { address } = await serve(t, parts)
  const { body } = await ask(address, post('/register', registerBody(), CLOSE))
  assert.equal(body, 'x'.repeat(70))
})

for (const name of [
  'freswa-reg-basic',
  'freswa-reg-mb-mutf7',
  'freswa-lmtp-basic',
  'freswa-imap-store-flagged',
]) {
  test(`answers what Dovecot sends: ${name}`, async t => {
    const { parts } = makeDoor()
    const { address } = await serve(t, parts)
    const client = await connect(address, readFileSync(path.join('test/fixtures/wire', `${name}.txt`)))
    assert.equal(parse(await answers(client, 1)).status, 200)
    client.socket.destroy()
  })
}

test('head and body of an answer leave in one write', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  const client = await connect(address)
  const chunks: string[] = []
  client.socket.on('data', chunk => chunks.push(String(chunk)))
  client.socket.write(post('/register', registerBody()))
  await answers(client, 1)
  assert.equal(parse(chunks[0] ?? '').body.length, 64)
  client.socket.destroy()
})

for (const [outcome, status] of [
  ['accepted', 200],
  ['nothing', 204],
  ['unknown', 404],
] as const) {
  test(`answers a notification with ${status} when the outcome is ${outcome}`, async t => {
    const { parts } = makeDoor({ notify: () => Promise.resolve<NotifyOutcome>(outcome) })
    const { address } = await serve(t, parts)
    assert.equal((await ask(address, post('/notify', NOTIFY_BODY, CLOSE))).status, status)
  })
}

test('answers 503 when a registration cannot be kept, and 500 without details for a fault of ours', async t => {
  const errors: Error[] = [new Unavailable('try again'), new TypeError('secret')]
  const { parts } = makeDoor({ register: () => Promise.reject(errors.shift()) })
  const { address } = await serve(t, parts)
  const request = post('/register', registerBody(), CLOSE)
  const unavailable = await ask(address, request)
  assert.deepEqual([unavailable.status, unavailable.body], [503, 'try again\n'])
  const fault = await ask(address, request)
  assert.deepEqual([fault.status, fault.body], [500, 'internal error\n'])
})

for (const [what, body] of [
  ['no JSON', '{"Username":'],
  ['nothing', ''],
  ['a token that is not hex', registerBody().replace(/"abab\w+"/, '"%zz"')],
] as const) {
  test(`answers a registration of ${what} with 400 and one line that says why`, async t => {
    const { parts, registered } = makeDoor()
    const { address } = await serve(t, parts)
    const answer = await ask(address, post('/register', body, CLOSE))
    assert.equal(answer.status, 400)
    assert.match(answer.body, /^[\x20-\x7e]+\n$/)
    assert.deepEqual(registered, [])
  })
}

test('takes any content type, none, and a query', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  assert.equal((await ask(address, post('/notify', NOTIFY_BODY, CLOSE))).status, 200)
  const odd = post('/notify?x=1', NOTIFY_BODY, [...CLOSE, 'Content-Type: image/png'])
  assert.equal((await ask(address, odd)).status, 200)
})

test('an invalid UTF-8 byte in a mailbox name is data', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  const body = registerBody().replace('INBOX', 'caf\xe9')
  const bytes = Buffer.from(post('/register', body, CLOSE), 'latin1')
  // The length was counted for UTF-8, in which the byte would be two.
  const request = Buffer.from(
    bytes.toString('latin1').replace(/Length: \d+/, `Length: ${body.length}`),
    'latin1',
  )
  assert.equal((await ask(address, request)).status, 200)
})

test('answers pipelined requests in their order', async t => {
  const waiting: ((topic: string) => void)[] = []
  const { parts } = makeDoor({ register: () => new Promise(resolve => waiting.push(resolve)) })
  const { address } = await serve(t, parts)
  const client = await connect(
    address,
    post('/register', registerBody()) + post('/notify', NOTIFY_BODY).repeat(3),
  )
  await until(() => waiting[0], 'the registration')
  assert.equal(client.received(), '')
  waiting[0]?.(TOPIC)
  const first = parse(await answers(client, 4))
  assert.equal(first.body.length, 64)
  client.socket.destroy()
})

test('keeps a connection for the next request', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  const client = await connect(address)
  for (let i = 1; i <= 3; i += 1) {
    client.socket.write(post('/notify', NOTIFY_BODY))
    await answers(client, i)
  }
  client.socket.destroy()
})

test('speaks HTTP/1.0, which closes', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  const request = post('/notify', NOTIFY_BODY).replace('HTTP/1.1', 'HTTP/1.0')
  assert.equal((await ask(address, request)).status, 200)
})

test('takes a chunked body', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  const chunks = (NOTIFY_BODY.match(/.{1,7}/g) ?? []).map(
    part => `${part.length.toString(16)}\r\n${part}\r\n`,
  )
  const head = 'POST /notify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n'
  assert.equal((await ask(address, `${head}${chunks.join('')}0\r\n\r\n`)).status, 200)
})

test('tells a client that expects it to go on', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  const [head, body] = post('/notify', NOTIFY_BODY, ['Expect: 100-continue', ...CLOSE]).split('\r\n\r\n')
  const client = await connect(address, `${head}\r\n\r\n`)
  await until(() => client.received() === 'HTTP/1.1 100 Continue\r\n\r\n', '100 Continue')
  client.socket.write(String(body))
  assert.match(await client.ended, /HTTP\/1\.1 200 OK/)
})

test('takes a request that comes byte by byte', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  const client = await connect(address)
  client.socket.setNoDelay(true)
  for (const byte of post('/notify', NOTIFY_BODY, CLOSE)) {
    client.socket.write(byte)
    await turns(1)
  }
  assert.equal(parse(await client.ended).status, 200)
})

test('knows its paths and methods', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  assert.equal((await ask(address, post('/', '', CLOSE))).status, 404)
  assert.equal((await ask(address, post('/__proto__', '', CLOSE))).status, 404)
  const get = await ask(address, 'GET /register HTTP/1.0\r\n\r\n')
  assert.equal(get.status, 405)
  assert.match(get.head, /^Allow: POST$/m)
  const posted = await ask(address, post('/healthz', '', CLOSE))
  assert.match(posted.head, /^Allow: GET, HEAD$/m)
})

test('tells whether the store answers', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  const well = await ask(address, 'GET /healthz HTTP/1.0\r\n\r\n')
  assert.deepEqual([well.status, well.body], [200, 'ok\n'])
  const head = await exchange(address, 'HEAD /healthz HTTP/1.0\r\n\r\n')
  assert.match(head, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s)

  const away = await serve(t, { ...parts, health: () => Promise.reject(new Error('the store is away')) })
  const ill = await ask(away.address, 'GET /healthz HTTP/1.0\r\n\r\n')
  assert.deepEqual([ill.status, ill.body], [503, 'the store is away\n'])
})

for (const [what, head] of [
  ['says that it is', 'Content-Length: 10000000'],
  ['turns out to be', 'Transfer-Encoding: chunked'],
] as const) {
  test(`refuses a body that ${what} too large, and its sender gets to read that`, async t => {
    const { parts } = makeDoor()
    const { address } = await serve(t, parts)
    const client = await connect(address, `POST /register HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n`)
    const chunk = head.startsWith('C') ? 'x'.repeat(100_000) : `186a0\r\n${'x'.repeat(100_000)}\r\n`
    for (let i = 0; i < 30; i += 1) client.socket.write(chunk)
    const answer = parse(await answers(client, 1))
    assert.equal(answer.status, 413)
    assert.equal(answer.body, 'longer than 1048576 bytes\n')
    client.socket.destroy()
  })
}

test('answers what is no HTTP with 400 and closes', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  assert.equal((await ask(address, 'REGISTER aps-account-id="A"\r\n\r\n')).status, 400)
  assert.equal((await ask(address, 'POST /notify HTTP/1.1\r\nContent-Length: -1\r\n\r\n')).status, 400)
})

test('answers headers without end with 431 and closes', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  assert.equal((await ask(address, `GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).status, 431)
})

test('keeps idle connections for more than an hour and gives a request 10 seconds', () => {
  const { server } = makeHttpServer({ ...makeDoor().parts, health: () => Promise.resolve() })
  assert.ok(server.keepAliveTimeout >= 3_600_000)
  assert.equal(server.headersTimeout, 10_000)
  assert.equal(server.requestTimeout, 10_000)
})

for (const [what, bytes] of [
  ['headers', 'POST /register HT'],
  ['body', post('/register', registerBody()).slice(0, -5)],
] as const) {
  test(`ends a request whose ${what} stop half way`, async t => {
    const { parts } = makeDoor()
    const { door, address } = await serve(t, parts)
    // Node's own timers: they cannot be held, only shortened.
    door.server.headersTimeout = 20
    door.server.requestTimeout = 20
    assert.equal((await ask(address, bytes)).status, 408)
  })
}

test('a client that goes away in the middle of a body troubles nobody, and its memory is free again', async t => {
  const { parts } = makeDoor({ budget: new Budget(10_000) })
  const { address } = await serve(t, parts)
  const client = await connect(address, post('/register', 'x'.repeat(9_000)).slice(0, 8_000))
  await until(() => parts.budget.left < 5_000, 'the body to come in')
  client.socket.resetAndDestroy()
  await until(() => parts.budget.left === 10_000, 'the memory to be free again')
})

test('500 half-sent requests do not keep a good one from its answer', async t => {
  const { parts } = makeDoor()
  const { address } = await serve(t, parts)
  const clients: Client[] = []
  for (let i = 0; i < 500; i += 1) clients.push(await connect(address, 'POST /register HTTP/1.1\r\nHost: '))
  assert.equal((await ask(address, post('/register', registerBody(), CLOSE))).status, 200)
  for (const { socket } of clients) socket.destroy()
})

test('closing ends idle connections and finishes the requests in hand', async t => {
  let answer: (topic: string) => void = () => undefined
  const { parts, registered } = makeDoor({ register: () => new Promise(resolve => (answer = resolve)) })
  const { door, address } = await serve(t, parts)
  const idle = await connect(address, post('/notify', NOTIFY_BODY))
  await answers(idle, 1)
  const asking = await connect(address, post('/register', registerBody()))
  await until(() => registered.length === 1, 'the registration')
  const closed = door.close(10_000)
  await idle.ended
  answer(TOPIC)
  assert.equal(parse(await asking.ended).status, 200)
  await closed
})
