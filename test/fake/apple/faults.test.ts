import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import { until } from '../../support/wait.ts'
import { connect, open, push, TOKEN } from './bare-client.ts'
import { pushCertificate } from './certificates.ts'
import { type Apple, startApple } from './server.ts'

const OTHER = 'b2'.repeat(32)
const pair = pushCertificate()
const { NGHTTP2_REFUSED_STREAM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_ENHANCE_YOUR_CALM } =
  http2.constants

let apple: Apple
let session: http2.ClientHttp2Session

beforeEach(async () => {
  apple = await startApple()
  session = await connect(apple, pair)
})

afterEach(async () => {
  session.destroy()
  await apple.close()
})

const status = async (client = session, token = TOKEN) => (await push(client, { token })).status

/** A push that may end in whatever way: settles with its status or with its error. */
const inFlight = (client = session) =>
  push(client).then(
    answer => answer.status,
    error => error as Error,
  )

const pings = (client: http2.ClientHttp2Session) =>
  new Promise<Error | null>(resolve => client.ping(error => resolve(error)))

/** Which of the two settles first. Only true events decide, no clock. */
const first = (...events: Promise<string>[]) => Promise.race(events)

test('latency holds every answer back for that long', async () => {
  apple.faults.latency(60)
  const begun = performance.now()
  assert.equal(await status(), 200)
  assert.ok(performance.now() - begun >= 59)
})

test('every push gets the answer that was set, until it heals', async () => {
  apple.faults.answer('ServiceUnavailable', { retryAfter: 7 })
  const { status: refused, body, headers } = await push(session)
  assert.deepEqual([refused, body, headers['retry-after']], [503, { reason: 'ServiceUnavailable' }, '7'])
  assert.deepEqual(apple.pushes, [])
  await apple.heal()
  assert.equal(await status(), 200)
})

test('410 tells in milliseconds since when the token is gone', async () => {
  apple.faults.answer('Unregistered', { timestamp: 1_454_948_015_990 })
  const { status: refused, body } = await push(session)
  assert.deepEqual([refused, body], [410, { reason: 'Unregistered', timestamp: 1_454_948_015_990 }])
  apple.faults.answer('ExpiredToken')
  assert.equal(typeof (await push(session)).body.timestamp, 'number')
})

test('a status can differ from the one that Apple gives with a reason', async () => {
  apple.faults.answer('InternalServerError', { status: 502 })
  assert.equal(await status(), 502)
})

test('an answer can be for so many pushes only', async () => {
  apple.faults.answer('InternalServerError', { times: 2 })
  assert.deepEqual([await status(), await status(), await status()], [500, 500, 200])
})

test('one device can have an answer of its own, in whatever case its token is sent', async () => {
  apple.faults.answerDevice(TOKEN, 'TooManyRequests')
  assert.equal(await status(session, TOKEN.toUpperCase()), 429)
  assert.equal(await status(session, OTHER), 200)
})

test('a push that breaks a rule is refused for that, fault or not', async () => {
  apple.faults.answer('ServiceUnavailable')
  assert.deepEqual((await push(session, { body: '' })).body, { reason: 'PayloadEmpty' })
})

test('a hang leaves pushes unanswered and pings answered', async () => {
  apple.faults.hang(1)
  const hanging = inFlight().then(() => 'push')
  await apple.waitForRequest(1)
  assert.equal(
    await first(
      hanging,
      pings(session).then(() => 'ping'),
    ),
    'ping',
  )
  assert.equal(await status(), 200)
  assert.equal(apple.requests[0]?.status, undefined)
})

test('a stream reset ends the push and not the connection', async () => {
  apple.faults.resetStreams(NGHTTP2_INTERNAL_ERROR, 1)
  await assert.rejects(push(session), /NGHTTP2_INTERNAL_ERROR/)
  assert.equal(await status(), 200)
})

test('GOAWAY at once names its reason and loses what is in flight', async () => {
  apple.faults.hang()
  const lost = inFlight()
  await apple.waitForRequest(1)
  const goaway = once(session, 'goaway')
  apple.faults.goAway({ reason: 'IdleTimeout' })
  const [code, , data] = (await goaway) as [number, number, Buffer]
  assert.equal(code, NGHTTP2_ENHANCE_YOUR_CALM)
  assert.equal(JSON.parse(data.toString()).reason, 'IdleTimeout')
  assert.ok((await lost) instanceof Error)
  await until(() => apple.connections.open === 0, 'the connection to be closed')
})

test('GOAWAY tells which streams were not looked at: they may be sent again', async () => {
  apple.faults.hang()
  const [looked, refused] = [session.request(post()), session.request(post())]
  const closed = Promise.all([closing(looked), closing(refused)])
  for (const stream of [looked, refused]) stream.end('{"aps":{}}')
  await apple.waitForRequest(2)
  apple.faults.goAway({ code: NGHTTP2_NO_ERROR, lastStream: Number(looked.id) })
  await closed
  assert.equal(refused.rstCode, NGHTTP2_REFUSED_STREAM)
  assert.notEqual(looked.rstCode, NGHTTP2_REFUSED_STREAM)
})

const post = () => ({
  ':method': 'POST',
  ':path': `/3/device/${TOKEN}`,
  'apns-push-type': 'background',
})

const closing = (stream: http2.ClientHttp2Stream) =>
  new Promise<void>(resolve => {
    stream.on('error', () => undefined)
    stream.on('close', resolve)
  })

test('a graceful GOAWAY lets what is in flight finish', async () => {
  apple.faults.latency(100)
  const pending = [inFlight(), inFlight(), inFlight()]
  await apple.waitForRequest(3)
  const closed = once(session, 'close')
  apple.faults.goAwayGracefully()
  assert.deepEqual(await Promise.all(pending), [200, 200, 200])
  await closed
  await until(() => apple.connections.open === 0, 'the connection to be closed')
})

test('a reset ends connections, and the next one works', async () => {
  apple.faults.hang(1)
  const lost = inFlight()
  await apple.waitForRequest(1)
  apple.faults.resetConnections()
  assert.match(String(await lost), /ECONNRESET|CANCEL/)
  session = await connect(apple, pair)
  assert.equal(await status(), 200)
  assert.deepEqual(apple.connections, { attempts: 2, opened: 2, open: 1 })
})

test('a black hole answers neither pushes nor pings nor new connections, and closes none', async () => {
  apple.faults.blackHole()
  const swallowed = [inFlight().then(() => 'push'), pings(session).then(() => 'ping')]
  const late = open(apple, pair)
  const connected = once(late, 'connect').then(() => 'connect')
  await until(() => apple.connections.attempts === 2, 'the new connection to be accepted')
  // A whole round trip elsewhere, and another: long enough for the black hole to answer if it were none.
  assert.equal(await first(...swallowed, connected, elsewhere()), 'elsewhere')
  assert.deepEqual([session.destroyed, late.destroyed], [false, false])
  await apple.heal()
  assert.deepEqual(await Promise.all([...swallowed, connected]), ['push', 'ping', 'connect'])
  late.destroy()
})

test('a black hole can hold the open connections alone: a new one works', async () => {
  apple.faults.blackHole('open')
  const swallowed = inFlight().then(() => 'push')
  const fresh = await connect(apple, pair)
  assert.equal(await status(fresh), 200)
  assert.equal(await first(swallowed, elsewhere()), 'elsewhere')
  fresh.destroy()
})

/** Two connections to and pushes at another Apple, one after the other. */
async function elsewhere(): Promise<string> {
  const other = await startApple()
  for (let round = 0; round < 2; round++) {
    const client = await connect(other, pair)
    await push(client)
    client.destroy()
  }
  await other.close()
  return 'elsewhere'
}

test('refused: the port is free for others, and Apple comes back on it', async () => {
  const { port } = apple
  await apple.faults.refuse()
  await assert.rejects(once(net.connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
  const squatter = net.createServer().listen(port, '127.0.0.1')
  await once(squatter, 'listening')
  squatter.close()
  await once(squatter, 'close')
  await apple.heal()
  assert.equal(apple.port, port)
  session = await connect(apple, pair)
  assert.equal(await status(), 200)
})

test('a slow start holds the handshake back, not the connection', async () => {
  apple.faults.slowStart(150)
  const begun = performance.now()
  const slow = open(apple, pair)
  const connected = once(slow, 'connect')
  await until(() => apple.connections.attempts === 2, 'the connection to be accepted')
  assert.equal(apple.connections.opened, 1)
  await connected
  assert.ok(performance.now() - begun >= 149)
  slow.destroy()
})

for (const streams of [1, 100]) {
  test(`with a limit of ${streams} no more streams than that are open at once`, async () => {
    const told = once(session, 'remoteSettings')
    apple.faults.streamLimit(streams)
    await told
    assert.equal(session.remoteSettings.maxConcurrentStreams, streams)
    apple.faults.hang()
    const pending = Array.from({ length: streams + 5 }, () => inFlight())
    await apple.waitForRequest(streams)
    await pings(session)
    await pings(session)
    assert.equal(apple.counts.requests, streams)
    session.destroy()
    await Promise.all(pending)
  })
}

test('a new connection is told the limit in its first settings, and healing lifts it', async () => {
  apple.faults.streamLimit(3)
  const limited = await connect(apple, pair)
  assert.equal(limited.remoteSettings.maxConcurrentStreams, 3)
  const told = once(limited, 'remoteSettings')
  await apple.heal()
  await told
  assert.equal(limited.remoteSettings.maxConcurrentStreams, 1000)
  limited.destroy()
})

test('without its gate there is no network to break', async () => {
  const bare = await startApple({ gate: false })
  assert.throws(() => bare.faults.blackHole(), /gate: false/)
  await bare.close()
})
