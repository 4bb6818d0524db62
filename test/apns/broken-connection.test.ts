/** Every way in which the connection to Apple breaks. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { constants, createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import test from 'node:test'
import { PING_EVERY_MS } from '../../plugins/xaps/apns/connection.ts'
import { Transport } from '../../plugins/xaps/apns/transport.ts'
import { authority, makeAuthority, pushCertificate, serverCertificate } from '../fake/apple/certificates.ts'
import type { Apple } from '../fake/apple/server.ts'
import { OK } from '../push/parts.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { noLog } from '../support/recorded-log.ts'
import { until } from '../support/wait.ts'
import { assertAll, bench, certificateFor, endpointOf, mailDevice, sendMany, TIMEOUT_MS } from './bench.ts'

// What breaks

test('500 pushes that meet a closed port make one attempt to connect', async t => {
  const b = await bench(t)
  await b.apple.faults.refuse()
  const answers = await sendMany(b, 500)
  assertAll(answers, 500, 'broken connection')
  assert.ok(answers.every(({ reason }) => /ECONNREFUSED/.test(reason)))
  await b.apple.heal()
  b.apple.clear()
  assert.deepEqual(await b.send(1), OK)
})

test('500 pushes with refused credentials ask once', async t => {
  const { certificate: cert, key } = pushCertificate({ issuer: makeAuthority() })
  const b = await bench(t, { credentials: { auth: { kind: 'certificate', cert, key } } })
  const answers = await sendMany(b, 500)
  assert.deepEqual(answers, Array(500).fill({ kind: 'refused setup', reason: 'BadCertificate' }))
  assert.equal(b.apple.counts.requests, 1)
})

test('a black hole is left after one timeout, and all that was in it comes back at once', async t => {
  const b = await bench(t)
  await b.send(0)
  b.apple.faults.blackHole('open')
  assertAll(await sendMany(b, 20, 1), 20, 'broken connection')
  assert.deepEqual(await b.send(1), OK)
  assert.equal(b.apple.connections.attempts, 2)
})

test('a push sent just before a black hole is found out ends with it', async t => {
  const b = await bench(t)
  await b.send(0)
  b.apple.faults.blackHole('open')
  const first = b.send(1)
  await new Promise(resolve => setTimeout(resolve, TIMEOUT_MS / 2))
  const second = b.send(2)
  await first
  const since = Date.now()
  assert.equal((await second).kind, 'broken connection')
  assert.ok(Date.now() - since < TIMEOUT_MS / 2, 'it did not wait for a timeout of its own')
})

test('a connection that cannot be made ends in time', async t => {
  const b = await bench(t)
  b.apple.faults.blackHole('all')
  assert.equal((await b.send(1)).kind, 'broken connection')
  await b.apple.heal()
  assert.deepEqual(await b.send(1), OK)
})

test('one push that is never answered replaces the connection and disturbs no other push', async t => {
  const b = await bench(t)
  await b.send(0)
  b.apple.faults.hang(1)
  const hanging = b.send(1)
  await b.apple.waitForRequest(2)
  await b.send(2)
  assert.equal((await hanging).kind, 'broken stream')
  assert.deepEqual(await b.send(1), OK)
  assert.equal(b.apple.connections.attempts, 2)
})

test('a transport that is closed the moment it begins to connect ends', async t => {
  const b = await bench(t)
  const sent = b.send(1)
  await b.transport.close(0)
  assert.equal((await sent).kind, 'broken connection')
  await until(() => b.apple.connections.open === 0, 'the connection to end')
})

test('a peer that calls every new connection idle gets no connection per push', async t => {
  const b = await bench(t)
  b.apple.faults.answer('IdleTimeout')
  const [first, ...others] = await sendMany(b, 50)
  assert.deepEqual(first, { kind: 'broken stream', reason: 'IdleTimeout' })
  assertAll(others, 49, 'broken connection')
  assert.equal(b.apple.connections.attempts, 1)
})

for (const [name, code] of [
  ['INTERNAL_ERROR', constants.NGHTTP2_INTERNAL_ERROR],
  ['CANCEL', constants.NGHTTP2_CANCEL],
  ['NO_ERROR', constants.NGHTTP2_NO_ERROR],
] as const) {
  test(`a stream reset with ${name} is the fault of that push alone; the connection stays`, async t => {
    const b = await bench(t)
    await b.send(0)
    b.apple.faults.resetStreams(code, 1)
    assert.equal((await b.send(1)).kind, 'broken stream')
    assert.deepEqual(await b.send(1), OK)
    assert.equal(b.apple.connections.attempts, 1)
  })
}

test('a stream that the peer refuses is sent again, for it was not looked at; but not for ever', async t => {
  const b = await bench(t)
  await b.send(0)
  b.apple.faults.resetStreams(constants.NGHTTP2_REFUSED_STREAM, 2)
  assert.deepEqual(await b.send(1), OK)
  b.apple.faults.resetStreams(constants.NGHTTP2_REFUSED_STREAM, 3)
  assert.equal((await b.send(1)).kind, 'broken stream')
  assert.equal(b.apple.connections.attempts, 1)
})

for (const [name, end] of [
  ['a reset', (apple: Apple) => apple.faults.resetConnections()],
  ['a GOAWAY with an error', (apple: Apple) => apple.faults.goAway()],
  ['an end without a word', (apple: Apple) => apple.close()],
] as const) {
  test(`${name}: what was in flight comes back at once, the next push gets a new connection`, async t => {
    const b = await bench(t)
    await b.send(0)
    b.apple.faults.hang()
    const lost = sendMany(b, 10, 1)
    await b.apple.waitForRequest(11)
    const since = Date.now()
    await end(b.apple)
    assertAll(await lost, 10, 'broken connection')
    assert.ok(Date.now() - since < TIMEOUT_MS)
    await until(() => b.apple.connections.open === 0, 'the old connection to end')
    if (name === 'an end without a word') return
    await b.apple.heal()
    assert.deepEqual(await b.send(1), OK)
    assert.equal(b.apple.connections.attempts, 2)
  })
}

test('a graceful GOAWAY lets what is in flight finish; new pushes use a new connection', async t => {
  const b = await bench(t)
  await b.send(0)
  b.apple.faults.latency(200)
  const before = sendMany(b, 10, 1)
  await b.apple.waitForRequest(11)
  b.apple.faults.goAwayGracefully()
  b.apple.faults.latency(0)
  await new Promise(resolve => setTimeout(resolve, 50))
  const after = await sendMany(b, 10, 20)
  for (const answer of [...(await before), ...after]) assert.deepEqual(answer, OK)
  assert.equal(b.apple.connections.attempts, 2)
  assert.equal(new Set(b.apple.pushes.map(({ token }) => token)).size, 21)
})

test('what a GOAWAY leaves unprocessed is the fault of those pushes alone', async t => {
  const { certificate: cert, key } = serverCertificate()
  const server = createSecureServer({ cert, key })
  server.on('stream', stream => {
    stream.on('error', error => assert.match(error.message, /REFUSED_STREAM/))
    const { id = 0, session } = stream
    // Nobody would listen to the errors of a stream that the peer opens.
    assert.equal(stream.pushAllowed, false)
    if (id === 7) session?.goaway(constants.NGHTTP2_NO_ERROR, 3)
    if (id === 1) stream.respond({ ':status': 200 }, { endStream: true })
    if (id === 3) setTimeout(() => stream.respond({ ':status': 200 }, { endStream: true }), 100)
  })
  await once(server.listen(0), 'listening')
  const { port } = server.address() as AddressInfo
  const peer = { ca: authority().certificate, host: 'localhost', port }
  const transport = new Transport(certificateFor(peer), endpointOf(peer), noLog)
  t.after(async () => {
    await transport.close(0)
    server.close()
  })
  await transport.push(mailDevice(0))
  const [first, ...others] = await Promise.all([1, 2, 3].map(number => transport.push(mailDevice(number))))
  assert.deepEqual(first, OK)
  assertAll(others, 2, 'broken stream')
})

test('a slow handshake within the time is waited for', async t => {
  const b = await bench(t)
  b.apple.faults.slowStart(TIMEOUT_MS / 3)
  assertAll(await sendMany(b, 20), 20, 'sent')
  assert.equal(b.apple.connections.attempts, 1)
})

test('a server that is not trusted gets no push', async t => {
  const b = await bench(t, { credentials: { ca: makeAuthority().certificate } })
  assert.match((await b.send(1)).reason, /certificate/)
  assert.equal(b.apple.counts.requests, 0)
})

// Idle

test('an idle connection is pinged; one that does not answer is closed, and the next push gets a new one', async t => {
  const time = new FakeClock()
  const b = await bench(t, { time })
  await b.send(1)
  await time.advance(PING_EVERY_MS)
  await b.send(1)
  assert.equal(b.apple.connections.attempts, 1, 'a ping that is answered changes nothing')
  b.apple.faults.blackHole('open')
  await time.advance(PING_EVERY_MS)
  await time.advance(TIMEOUT_MS)
  assert.deepEqual(await b.send(1), OK)
  assert.equal(b.apple.connections.attempts, 2)
})
