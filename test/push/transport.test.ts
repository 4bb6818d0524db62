/** The connection to Apple against the stand-in: one connection, its limits, and every way in which it breaks. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import test, { type TestContext } from 'node:test'
import { type Clock, systemClock } from '../../plugins/xaps/clock.ts'
import type { Endpoint } from '../../plugins/xaps/push/apn-client.ts'
import type { Credentials } from '../../plugins/xaps/push/credentials.ts'
import { makePush, type Push } from '../../plugins/xaps/push/payload.ts'
import { PING_EVERY_MS } from '../../plugins/xaps/push/session.ts'
import { openTransport, type Transport } from '../../plugins/xaps/push/transport.ts'
import type { Answer } from '../../plugins/xaps/push/verdict.ts'
import {
  authority,
  MAIL_TOPIC,
  makeAuthority,
  pushCertificate,
  serverCertificate,
} from '../fake/apple/certificates.ts'
import { type ProviderKey, providerKey } from '../fake/apple/provider-key.ts'
import { type Apple, type AppleOptions, startApple } from '../fake/apple/server.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { noLog } from '../support/recorded-log.ts'
import { until } from '../support/wait.ts'
import { deviceOf, OK, SETTINGS, tokenOf } from './parts.ts'

/** Short, so that what hangs fails soon; long enough for a busy machine. */
const TIMEOUT_MS = 1_500

interface Line {
  readonly apple: Apple
  readonly transport: Transport
  send(device: number): Promise<Answer>
}

interface LineOptions extends AppleOptions {
  readonly credentials?: Partial<Credentials>
  readonly endpoint?: Partial<Endpoint>
  /** The clock of the transport. */
  readonly time?: Clock
}

const pair = pushCertificate()

/** A transport to a stand-in of its own; both end with the test. */
async function line(t: TestContext, options: LineOptions = {}): Promise<Line> {
  const { credentials, endpoint, time = systemClock, ...rest } = options
  const apple = await startApple(rest)
  const transport = openTransport(
    { ...certificateFor(apple), ...credentials },
    { ...endpointOf(apple), ...endpoint },
    noLog,
    time,
  )
  t.after(async () => {
    await transport.close(0)
    await apple.close()
  })
  return { apple, transport, send: device => transport.send(pushTo(device)) }
}

function certificateFor({ ca }: Pick<Apple, 'ca'>, { certificate: cert, key } = pair): Credentials {
  return { proof: { kind: 'certificate', cert, key }, topic: MAIL_TOPIC, topics: [MAIL_TOPIC], ca }
}

function tokenFor({ ca }: Apple, { p8: key, keyId, teamId }: ProviderKey): Credentials {
  return { proof: { kind: 'token', key, keyId, teamId }, topic: MAIL_TOPIC, topics: [MAIL_TOPIC], ca }
}

function endpointOf({ host, port }: Pick<Apple, 'host' | 'port'>): Endpoint {
  return { host, port, environment: 'production', request_timeout: TIMEOUT_MS }
}

function pushTo(device: number): Push {
  return makePush(deviceOf(device, { topic: MAIL_TOPIC }), SETTINGS, Date.now())
}

function sendMany({ send }: Line, count: number, from = 0): Promise<Answer[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => send(from + index)))
}

function faultOf(answer: Answer): string {
  assert.ok('fault' in answer, JSON.stringify(answer))
  return answer.of
}

// What works

test('all pushes go over one connection, and arrive as they were made', async t => {
  const l = await line(t)
  const answers = await sendMany(l, 300)
  assert.ok(answers.every(answer => 'status' in answer && answer.status === 200))
  assert.equal(l.apple.connections.attempts, 1)
  const [push] = l.apple.pushes
  assert.equal(push?.token, tokenOf(0))
  assert.equal(push?.topic, MAIL_TOPIC)
  assert.deepEqual(push?.payload, { aps: { 'account-id': deviceOf(0).account } })
  assert.equal(push?.headers['content-type'], 'application/json')
  assert.equal(push?.headers['apns-push-type'], 'background')
})

test('connecting ahead opens the connection that the first push uses', async t => {
  const l = await line(t)
  l.transport.connect()
  await until(() => l.apple.connections.opened === 1, 'a connection')
  assert.deepEqual(await l.send(1), OK)
  assert.equal(l.apple.connections.attempts, 1)
})

test('the first push after connecting ahead in vain gets a connection of its own', async t => {
  const l = await line(t)
  await l.apple.faults.refuse()
  l.transport.connect()
  await new Promise(resolve => setImmediate(resolve))
  await l.apple.heal()
  await until(async () => 'status' in (await l.send(1)), 'an accepted push')
})

test('a certificate for production only works with a host of its own name', async t => {
  const production = pushCertificate({ production: true, sandbox: false })
  const { certificate: cert, key } = production
  const l = await line(t, { credentials: { proof: { kind: 'certificate', cert, key } } })
  assert.deepEqual(await l.send(1), OK)
})

test('the sandbox takes a certificate for the sandbox', async t => {
  const { certificate: cert, key } = pushCertificate({ production: false })
  const l = await line(t, {
    environment: 'sandbox',
    credentials: { proof: { kind: 'certificate', cert, key } },
    endpoint: { environment: 'sandbox' },
  })
  assert.deepEqual(await l.send(1), OK)
})

test('an address works as a host', async t => {
  const l = await line(t, { endpoint: { host: '127.0.0.1' } })
  assert.deepEqual(await l.send(1), OK)
})

// What Apple says

test("Apple's no comes with its status, reason and time", async t => {
  const l = await line(t)
  l.apple.faults.answerDevice(tokenOf(1), 'Unregistered', { timestamp: 1_700_000_000_000 })
  l.apple.faults.answerDevice(tokenOf(2), 'BadDeviceToken')
  l.apple.faults.answerDevice(tokenOf(3), 'InternalServerError')
  l.apple.faults.answerDevice(tokenOf(4), 'Forbidden')
  assert.deepEqual(await l.send(1), { status: 410, reason: 'Unregistered', timestamp: 1_700_000_000_000 })
  assert.deepEqual(await l.send(2), { status: 400, reason: 'BadDeviceToken' })
  assert.deepEqual(await l.send(3), { status: 500, reason: 'InternalServerError' })
  assert.deepEqual(await l.send(4), { status: 403, reason: 'Forbidden' })
  assert.equal(l.apple.connections.attempts, 1)
})

test('Retry-After is read', async t => {
  const l = await line(t)
  l.apple.faults.answer('TooManyRequests', { retryAfter: 7 })
  assert.deepEqual(await l.send(1), { status: 429, reason: 'TooManyRequests', retryAfterMs: 7_000 })
})

test('after IdleTimeout the next push goes over a new connection', async t => {
  const l = await line(t)
  await l.send(1)
  l.apple.faults.answer('IdleTimeout', { times: 1 })
  assert.deepEqual(await l.send(1), { status: 400, reason: 'IdleTimeout' })
  assert.deepEqual(await l.send(1), OK)
  assert.equal(l.apple.connections.attempts, 2)
})

test('each push is tried once, whatever Apple answers', async t => {
  const l = await line(t)
  for (const reason of ['ServiceUnavailable', 'InternalServerError', 'TooManyRequests'] as const) {
    l.apple.clear()
    l.apple.faults.answer(reason)
    await l.send(1)
    assert.equal(l.apple.counts.requests, 1, reason)
  }
})

// Limits

for (const streams of [1, 100]) {
  test(`a peer that takes ${streams} streams gets no more at a time`, async t => {
    const l = await line(t, { maxConcurrentStreams: streams })
    l.apple.faults.latency(5)
    const answers = await sendMany(l, 150)
    assert.ok(answers.every(answer => 'status' in answer && answer.status === 200))
    assert.equal(l.apple.connections.attempts, 1)
    assert.equal(l.apple.counts.aborted, 0)
  })
}

test('waiting for a stream does not count as time without an answer', async t => {
  const l = await line(t, { maxConcurrentStreams: 1, endpoint: { request_timeout: 400 } })
  l.apple.faults.latency(20)
  const answers = await sendMany(l, 40)
  assert.ok(answers.every(answer => 'status' in answer && answer.status === 200))
})

test('a limit that is raised while pushes wait is used at once', async t => {
  const l = await line(t, { maxConcurrentStreams: 1 })
  await l.send(0)
  l.apple.faults.hang(1)
  const all = sendMany(l, 20)
  await l.apple.waitForRequest(2)
  l.apple.faults.streamLimit(100)
  await l.apple.waitFor(20)
  assert.equal(faultOf((await all)[0] as Answer), 'stream')
})

test('on a new connection one push goes ahead, with certificate and with provider token', async t => {
  const key = providerKey()
  const l = await line(t, { providerKeys: [key] })
  for (const credentials of [certificateFor(l.apple), tokenFor(l.apple, key)]) {
    l.transport.renew(credentials)
    l.apple.clear()
    l.apple.faults.latency(200)
    const all = sendMany(l, 20)
    await l.apple.waitForRequest(1)
    await new Promise(resolve => setTimeout(resolve, 20))
    assert.equal(l.apple.counts.requests, 1)
    l.apple.faults.latency(0)
    assert.ok((await all).every(answer => 'status' in answer && answer.status === 200))
    assert.equal(l.apple.counts.aborted, 0)
  }
})

// What breaks

test('500 pushes that meet a closed port make one attempt to connect', async t => {
  const l = await line(t)
  await l.apple.faults.refuse()
  const answers = await sendMany(l, 500)
  assert.ok(answers.every(answer => faultOf(answer) === 'connection'))
  assert.ok(answers.every(answer => 'fault' in answer && /ECONNREFUSED/.test(answer.fault)))
  await l.apple.heal()
  l.apple.clear()
  assert.deepEqual(await l.send(1), OK)
})

test('500 pushes with refused credentials ask once', async t => {
  const { certificate: cert, key } = pushCertificate({ issuer: makeAuthority() })
  const l = await line(t, { credentials: { proof: { kind: 'certificate', cert, key } } })
  const answers = await sendMany(l, 500)
  assert.ok(answers.every(answer => 'status' in answer && answer.reason === 'BadCertificate'))
  assert.equal(l.apple.counts.requests, 1)
})

test('a black hole is left after one timeout, and all that was in it comes back at once', async t => {
  const l = await line(t)
  await l.send(0)
  l.apple.faults.blackHole('open')
  const lost = sendMany(l, 20, 1)
  const answers = await lost
  assert.ok(answers.every(answer => faultOf(answer) === 'connection'))
  assert.deepEqual(await l.send(1), OK)
  assert.equal(l.apple.connections.attempts, 2)
})

test('a push sent just before a black hole is found out ends with it', async t => {
  const l = await line(t)
  await l.send(0)
  l.apple.faults.blackHole('open')
  const first = l.send(1)
  await new Promise(resolve => setTimeout(resolve, TIMEOUT_MS / 2))
  const second = l.send(2)
  await first
  const since = Date.now()
  assert.equal(faultOf(await second), 'connection')
  assert.ok(Date.now() - since < TIMEOUT_MS / 2, 'it did not wait for a timeout of its own')
})

test('a connection that cannot be made ends in time', async t => {
  const l = await line(t)
  l.apple.faults.blackHole('all')
  assert.equal(faultOf(await l.send(1)), 'connection')
  await l.apple.heal()
  assert.deepEqual(await l.send(1), OK)
})

test('one push that is never answered replaces the connection and disturbs no other push', async t => {
  const l = await line(t)
  await l.send(0)
  l.apple.faults.hang(1)
  const hanging = l.send(1)
  await l.apple.waitForRequest(2)
  await l.send(2)
  assert.equal(faultOf(await hanging), 'stream')
  assert.deepEqual(await l.send(1), OK)
  assert.equal(l.apple.connections.attempts, 2)
})

for (const [name, code] of [
  ['INTERNAL_ERROR', constants.NGHTTP2_INTERNAL_ERROR],
  ['REFUSED_STREAM', constants.NGHTTP2_REFUSED_STREAM],
  ['CANCEL', constants.NGHTTP2_CANCEL],
  ['NO_ERROR', constants.NGHTTP2_NO_ERROR],
] as const) {
  test(`a stream reset with ${name} is the fault of that push alone; the connection stays`, async t => {
    const l = await line(t)
    await l.send(0)
    l.apple.faults.resetStreams(code, 1)
    assert.equal(faultOf(await l.send(1)), 'stream')
    assert.deepEqual(await l.send(1), OK)
    assert.equal(l.apple.connections.attempts, 1)
  })
}

test('a reset connection: what was in flight comes back, the next push gets a new one', async t => {
  const l = await line(t)
  await l.send(0)
  l.apple.faults.hang()
  const lost = sendMany(l, 10, 1)
  await l.apple.waitForRequest(11)
  l.apple.faults.resetConnections()
  assert.ok((await lost).every(answer => faultOf(answer) === 'connection'))
  await l.apple.heal()
  assert.deepEqual(await l.send(1), OK)
  assert.equal(l.apple.connections.attempts, 2)
})

test('a connection that the peer closes without a word does not leave a push hanging', async t => {
  const l = await line(t)
  await l.send(0)
  l.apple.faults.hang()
  const lost = l.send(1)
  await l.apple.waitForRequest(2)
  const since = Date.now()
  await l.apple.close()
  assert.equal(faultOf(await lost), 'connection')
  assert.ok(Date.now() - since < TIMEOUT_MS)
})

test('GOAWAY with an error: what was in flight comes back, the next push gets a new connection', async t => {
  const l = await line(t)
  await l.send(0)
  l.apple.faults.hang()
  const lost = sendMany(l, 10, 1)
  await l.apple.waitForRequest(11)
  l.apple.faults.goAway()
  assert.ok((await lost).every(answer => faultOf(answer) === 'connection'))
  await until(() => l.apple.connections.open === 0, 'the old connection to end')
  await l.apple.heal()
  assert.deepEqual(await l.send(1), OK)
  assert.equal(l.apple.connections.attempts, 2)
})

test('a graceful GOAWAY lets what is in flight finish; new pushes use a new connection', async t => {
  const l = await line(t)
  await l.send(0)
  l.apple.faults.latency(200)
  const before = sendMany(l, 10, 1)
  await l.apple.waitForRequest(11)
  l.apple.faults.goAwayGracefully()
  l.apple.faults.latency(0)
  await new Promise(resolve => setTimeout(resolve, 50))
  const after = await sendMany(l, 10, 20)
  for (const answer of [...(await before), ...after]) assert.deepEqual(answer, OK)
  assert.equal(l.apple.connections.attempts, 2)
  assert.equal(new Set(l.apple.pushes.map(({ token }) => token)).size, 21)
})

test('what a GOAWAY leaves unprocessed is the fault of those pushes alone', async t => {
  const { certificate: cert, key } = serverCertificate()
  const server = createSecureServer({ cert, key })
  server.on('stream', stream => {
    stream.on('error', error => assert.match(error.message, /REFUSED_STREAM/))
    const { id = 0, session } = stream
    if (id === 7) session?.goaway(constants.NGHTTP2_NO_ERROR, 3)
    if (id === 1) stream.respond({ ':status': 200 }, { endStream: true })
    if (id === 3) setTimeout(() => stream.respond({ ':status': 200 }, { endStream: true }), 100)
  })
  await once(server.listen(0), 'listening')
  const { port } = server.address() as AddressInfo
  const peer = { ca: authority().certificate, host: 'localhost', port }
  const transport = openTransport(certificateFor(peer), endpointOf(peer), noLog)
  t.after(async () => {
    await transport.close(0)
    server.close()
  })
  await transport.send(pushTo(0))
  const answers = await Promise.all([1, 2, 3].map(device => transport.send(pushTo(device))))
  assert.deepEqual(answers[0], OK)
  assert.deepEqual(answers.slice(1).map(faultOf), ['stream', 'stream'])
})

test('a slow handshake within the time is waited for', async t => {
  const l = await line(t)
  l.apple.faults.slowStart(TIMEOUT_MS / 3)
  const answers = await sendMany(l, 20)
  assert.ok(answers.every(answer => 'status' in answer && answer.status === 200))
  assert.equal(l.apple.connections.attempts, 1)
})

test('a server that is not trusted gets no push', async t => {
  const l = await line(t, { credentials: { ca: makeAuthority().certificate } })
  const answer = await l.send(1)
  assert.ok('fault' in answer && /certificate/.test(answer.fault), JSON.stringify(answer))
  assert.equal(l.apple.counts.requests, 0)
})

// Idle

test('an idle connection is pinged; one that does not answer is closed, and the next push gets a new one', async t => {
  const time = new FakeClock()
  const l = await line(t, { time })
  await l.send(1)
  await time.advance(PING_EVERY_MS)
  await l.send(1)
  assert.equal(l.apple.connections.attempts, 1, 'a ping that is answered changes nothing')
  l.apple.faults.blackHole('open')
  await time.advance(PING_EVERY_MS)
  await time.advance(TIMEOUT_MS)
  assert.deepEqual(await l.send(1), OK)
  assert.equal(l.apple.connections.attempts, 2)
})

// Credentials

test('renewed credentials are used on a new connection, and what is in flight on the old one is answered', async t => {
  const l = await line(t)
  await l.send(0)
  l.apple.faults.latency(150)
  const before = l.send(1)
  await l.apple.waitForRequest(2)
  l.apple.faults.latency(0)
  l.transport.renew(certificateFor(l.apple, pushCertificate()))
  assert.deepEqual(await l.send(2), OK)
  assert.deepEqual(await before, OK)
  assert.deepEqual(
    l.apple.pushes.map(({ session }) => session),
    [1, 1, 2],
  )
  await until(() => l.apple.connections.open === 1, 'the old connection to end')
})

test('files that were written again with the same content change nothing', async t => {
  const l = await line(t)
  await l.send(0)
  l.transport.renew(certificateFor(l.apple))
  await l.send(1)
  assert.equal(l.apple.connections.attempts, 1)
})

test('a certificate that has ended is not sent; a renewed one is', async t => {
  const l = await line(t, { credentials: { notAfter: Date.now() - 1_000 } })
  const answer = await l.send(1)
  assert.ok('unusable' in answer && /^the certificate ended on \d{4}-/.test(answer.unusable))
  assert.equal(l.apple.connections.attempts, 0)
  l.transport.renew(certificateFor(l.apple))
  assert.deepEqual(await l.send(1), OK)
})

test('a key that is of no use is an answer, not an exception', async t => {
  const l = await line(t, {
    credentials: { proof: { kind: 'token', key: 'no key', keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ' } },
  })
  assert.ok('unusable' in (await l.send(1)))
})

test('one provider token serves all connections for 20 minutes, also when Apple calls it expired', async t => {
  const key = providerKey()
  const time = new FakeClock()
  const l = await line(t, { providerKeys: [key], tokenUpdates: 'key', time })
  l.transport.renew(tokenFor(l.apple, key))
  assert.deepEqual(await l.send(1), OK)
  l.apple.faults.resetConnections()
  await until(() => l.apple.connections.open === 0, 'the connection to end')
  assert.deepEqual(await l.send(1), OK)
  l.apple.faults.answer('ExpiredProviderToken')
  assert.deepEqual(await l.send(1), { status: 403, reason: 'ExpiredProviderToken' })
  assert.deepEqual(await l.send(1), { status: 403, reason: 'ExpiredProviderToken' })
  assert.equal(tokens(l.apple).size, 1)
  await time.advance(20 * 60_000)
  await l.send(1)
  await new Promise(resolve => setTimeout(resolve, 1_100))
  l.apple.faults.answer('ExpiredProviderToken')
  await l.send(1)
  assert.equal(tokens(l.apple).size, 2)
})

function tokens({ requests }: Apple): Set<unknown> {
  return new Set(requests.map(({ headers }) => headers.authorization))
}

// The end

test('close lets what is under way finish', async t => {
  const l = await line(t)
  await l.send(0)
  l.apple.faults.latency(100)
  const last = l.send(1)
  await l.apple.waitForRequest(2)
  await l.transport.close(TIMEOUT_MS)
  assert.deepEqual(await last, OK)
})

test('close ends in time, whatever the connection does', async t => {
  const ways: Record<string, (l: Line) => unknown> = {
    'nothing was sent': () => undefined,
    idle: l => l.send(1),
    'black hole while idle': async l => {
      await l.send(1)
      l.apple.faults.blackHole()
    },
    'black hole with pushes': async l => {
      await l.send(1)
      l.apple.faults.blackHole()
      void sendMany(l, 10)
    },
    'black hole on the way up': l => {
      l.apple.faults.blackHole()
      void sendMany(l, 10)
    },
    'black hole after a graceful GOAWAY': async l => {
      await l.send(1)
      l.apple.faults.hang()
      void l.send(1)
      await l.apple.waitForRequest(2)
      l.apple.faults.goAwayGracefully()
      await new Promise(resolve => setTimeout(resolve, 50))
      l.apple.faults.blackHole()
    },
    'a port that is closed': async l => {
      await l.apple.faults.refuse()
      await l.send(1)
    },
  }
  for (const [way, prepare] of Object.entries(ways)) {
    const l = await line(t)
    await prepare(l)
    const since = Date.now()
    await l.transport.close(200)
    assert.ok(Date.now() - since < TIMEOUT_MS, way)
  }
})

for (const [name, prepare] of [
  ['an Apple that answers', () => undefined],
  ['an Apple that never answers', (apple: Apple) => apple.faults.hang()],
  ['a network that swallows everything', (apple: Apple) => apple.faults.blackHole()],
] as const) {
  test(`a closed transport to ${name} keeps no process alive`, async t => {
    const { apple } = await line(t)
    prepare(apple)
    const args = [certificateFor(apple), { ...endpointOf(apple), request_timeout: 60_000 }]
    const child = spawn(process.execPath, [
      path.join(__dirname, 'closing.js'),
      ...args.map(arg => JSON.stringify(arg)),
    ])
    t.after(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    await until(() => apple.connections.attempts === 1, 'a connection')
    child.stdin.write('close')
    const since = Date.now()
    const [code] = await once(child, 'exit')
    assert.equal(code, 0)
    assert.ok(Date.now() - since < 20_000)
  })
}

test('a closed transport opens no connection', async t => {
  const l = await line(t)
  await l.transport.close()
  l.transport.connect()
  assert.equal(faultOf(await l.send(1)), 'connection')
  assert.equal(l.apple.connections.attempts, 0)
})
