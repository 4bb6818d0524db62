import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { NotifyOutcome } from '../../plugins/xaps/registration/notify.ts'
import { Unavailable } from '../../plugins/xaps/registration/refusal.ts'
import { turns } from '../support/fake-clock.ts'
import { until } from '../support/wait.ts'
import { answers, ask, CLOSE, parse, serve } from './http-listener.ts'
import { NOTIFY_BODY, post, registerBody, TOPIC } from './listeners.ts'
import { wireFiles } from './requests.ts'
import { connect, exchange } from './tools.ts'

test('answers a registration with the topic, padded with NUL bytes where it is short', async t => {
  const { address, registered } = await serve(t, { accept: () => Promise.resolve('com.example.short') })
  const { status, head, body } = await ask(
    address,
    post('/register', registerBody('User@example.org'), CLOSE),
  )
  assert.equal(status, 200)
  assert.match(head, /^Content-Type: text\/plain/im)
  assert.equal(body, 'com.example.short'.padEnd(64, '\0'))
  assert.equal(registered[0]?.user, 'user@example.org')
})

for (const [bytes, padTopic, padded] of [
  [50, true, 64],
  [50, false, 50],
  [51, true, 51],
  [51, false, 51],
  [70, true, 70],
] as const) {
  test(`a topic of ${bytes} bytes takes ${padded} with pad_topic = ${padTopic}`, async t => {
    const topic = 'x'.repeat(bytes)
    const { address } = await serve(t, { accept: () => Promise.resolve(topic) }, { padTopic })
    const { body } = await ask(address, post('/register', registerBody(), CLOSE))
    assert.equal(body, topic.padEnd(padded, '\0'))
  })
}

for (const name of wireFiles().filter(file => /^(?:freswa|timlaing)-/.test(file))) {
  test(`answers what Dovecot sends: ${name}`, async t => {
    const { address } = await serve(t)
    const client = await connect(address, readFileSync(path.join('test/fixtures/wire', name)))
    assert.equal(parse(await answers(client, 1)).status, 200)
    client.socket.destroy()
  })
}

test('head and body of every answer on a connection leave in one write', async t => {
  const { address } = await serve(t)
  const client = await connect(address)
  const chunks: string[] = []
  client.socket.on('data', chunk => chunks.push(String(chunk)))
  for (let i = 1; i <= 3; i += 1) {
    client.socket.write(post('/register', registerBody()))
    await answers(client, i)
  }
  assert.deepEqual(
    chunks.map(chunk => parse(chunk).body),
    [TOPIC, TOPIC, TOPIC],
  )
  client.socket.destroy()
})

for (const [outcome, status] of [
  ['accepted', 200],
  ['nothing', 204],
  ['unknown', 404],
] as const) {
  test(`answers a notification with ${status} when the outcome is ${outcome}`, async t => {
    const { address } = await serve(t, { notify: () => Promise.resolve<NotifyOutcome>(outcome) })
    assert.equal((await ask(address, post('/notify', NOTIFY_BODY, CLOSE))).status, status)
  })
}

test('answers 503 when a registration cannot be kept, and 500 without details for a fault of ours', async t => {
  const errors: Error[] = [new Unavailable('try again'), new TypeError('secret')]
  const { address } = await serve(t, { accept: () => Promise.reject(errors.shift()) })
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
    const { address, registered } = await serve(t)
    const answer = await ask(address, post('/register', body, CLOSE))
    assert.equal(answer.status, 400)
    assert.match(answer.body, /^[\x20-\x7e]+\n$/)
    assert.deepEqual(registered, [])
  })
}

const CHUNKED = `1\r\n{\r\n${(NOTIFY_BODY.length - 1).toString(16)}\r\n${NOTIFY_BODY.slice(1)}\r\n0\r\n\r\n`

for (const [what, request] of [
  ['a query', post('/notify?x=1', NOTIFY_BODY, CLOSE)],
  ['HTTP/1.0, which closes', post('/notify', NOTIFY_BODY).replace('HTTP/1.1', 'HTTP/1.0')],
  [
    'a chunked body',
    post('/notify', CHUNKED, CLOSE).replace(/Content-Length: \d+/, 'Transfer-Encoding: chunked'),
  ],
] as const) {
  test(`takes ${what}`, async t => {
    const { address, notified } = await serve(t)
    assert.equal((await ask(address, request)).status, 200)
    assert.equal(notified.length, 1)
  })
}

test('an invalid UTF-8 byte in a mailbox name is data', async t => {
  const { address } = await serve(t)
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
  const { address } = await serve(t, { accept: () => new Promise(resolve => waiting.push(resolve)) })
  const client = await connect(
    address,
    post('/register', registerBody()) + post('/notify', NOTIFY_BODY).repeat(3),
  )
  await until(() => waiting[0], 'the registration')
  assert.equal(client.received(), '')
  waiting[0]?.(TOPIC)
  const first = parse(await answers(client, 4))
  assert.equal(first.body, TOPIC)
  client.socket.destroy()
})

test('tells a client that expects it to go on', async t => {
  const { address } = await serve(t)
  const [head, body] = post('/notify', NOTIFY_BODY, ['Expect: 100-continue', ...CLOSE]).split('\r\n\r\n')
  const client = await connect(address, `${head}\r\n\r\n`)
  await until(() => client.received() === 'HTTP/1.1 100 Continue\r\n\r\n', '100 Continue')
  client.socket.write(String(body))
  assert.match(await client.ended, /HTTP\/1\.1 200 OK/)
})

test('takes a request that comes byte by byte', async t => {
  const { address } = await serve(t)
  const client = await connect(address)
  client.socket.setNoDelay(true)
  for (const byte of post('/notify', NOTIFY_BODY, CLOSE)) {
    client.socket.write(byte)
    await turns(1)
  }
  assert.equal(parse(await client.ended).status, 200)
})

test('knows its paths and methods', async t => {
  const { address } = await serve(t)
  assert.equal((await ask(address, post('/', '', CLOSE))).status, 404)
  assert.equal((await ask(address, post('/__proto__', '', CLOSE))).status, 404)
  const get = await ask(address, 'GET /register HTTP/1.0\r\n\r\n')
  assert.equal(get.status, 405)
  assert.match(get.head, /^Allow: POST$/m)
  const posted = await ask(address, post('/healthz', '', CLOSE))
  assert.match(posted.head, /^Allow: GET, HEAD$/m)
})

test('tells whether the store answers', async t => {
  const { address } = await serve(t)
  const well = await ask(address, 'GET /healthz HTTP/1.0\r\n\r\n')
  assert.deepEqual([well.status, well.body], [200, 'ok\n'])
  const head = await exchange(address, 'HEAD /healthz HTTP/1.0\r\n\r\n')
  assert.match(head, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s)

  const away = await serve(t, {}, { health: () => Promise.reject(new Error('the store is away')) })
  const ill = await ask(away.address, 'GET /healthz HTTP/1.0\r\n\r\n')
  assert.deepEqual([ill.status, ill.body], [503, 'the store is away\n'])
})

for (const [what, head] of [
  ['says that it is', 'Content-Length: 10000000'],
  ['turns out to be', 'Transfer-Encoding: chunked'],
] as const) {
  test(`refuses a body that ${what} too large, and its sender gets to read that`, async t => {
    const { address } = await serve(t)
    const client = await connect(
      address,
      post('/register', '', ['Content-Length: 0']).replace('Content-Length: 0', head),
    )
    const chunk = head.startsWith('C') ? 'x'.repeat(100_000) : `186a0\r\n${'x'.repeat(100_000)}\r\n`
    for (let i = 0; i < 30; i += 1) client.socket.write(chunk)
    const answer = parse(await answers(client, 1))
    assert.equal(answer.status, 413)
    assert.equal(answer.body, 'longer than 1048576 bytes\n')
    client.socket.destroy()
  })
}
