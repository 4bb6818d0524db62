/** The connection to Apple while all is well: one connection, its limits, and what Apple says over it. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import test from 'node:test'
import { MAIL_TOPIC, pushCertificate } from '../fake/apple/certificates.ts'
import { providerKey } from '../fake/apple/provider-key.ts'
import { deviceOf, OK, tokenOf } from '../push/parts.ts'
import { until } from '../support/wait.ts'
import { assertAll, type BenchOptions, bench, certificateFor, sendMany, tokenFor } from './bench.ts'

// What works

test('all pushes go over one connection, and arrive as they were made', async t => {
  const b = await bench(t)
  assertAll(await sendMany(b, 300), 300, 'sent')
  assert.equal(b.apple.connections.attempts, 1)
  const [push] = b.apple.pushes
  assert.equal(push?.token, tokenOf(0))
  assert.equal(push?.topic, MAIL_TOPIC)
  assert.deepEqual(push?.payload, { aps: { 'account-id': deviceOf(0).account } })
  assert.equal(push?.headers['content-type'], 'application/json')
  assert.equal(push?.headers['apns-push-type'], 'background')
})

test('connecting ahead opens the connection that the first push uses', async t => {
  const b = await bench(t)
  b.transport.connect()
  await until(() => b.apple.connections.opened === 1, 'a connection')
  assert.deepEqual(await b.send(1), OK)
  assert.equal(b.apple.connections.attempts, 1)
})

test('the first push after connecting ahead in vain gets a connection of its own', async t => {
  const b = await bench(t)
  await b.apple.faults.refuse()
  b.transport.connect()
  await new Promise(resolve => setImmediate(resolve))
  await b.apple.heal()
  await until(async () => (await b.send(1)).kind === 'sent', 'an accepted push')
})

for (const [name, options] of [
  ['a certificate for production only works with a host of its own name', certified({ sandbox: false })],
  [
    'the sandbox takes a certificate for the sandbox',
    { ...certified({ production: false }), environment: 'sandbox', endpoint: { environment: 'sandbox' } },
  ],
  ['an address works as a host', { endpoint: { host: '127.0.0.1' } }],
] satisfies [string, BenchOptions][]) {
  test(name, async t => {
    const b = await bench(t, options)
    assert.deepEqual(await b.send(1), OK)
  })
}

function certified(uses: Parameters<typeof pushCertificate>[0]): BenchOptions {
  const { certificate: cert, key } = pushCertificate(uses)
  return { credentials: { auth: { kind: 'certificate', cert, key } } }
}

// What Apple says

test("Apple's no comes as a verdict with its reason and time", async t => {
  const b = await bench(t)
  b.apple.faults.answerDevice(tokenOf(1), 'Unregistered', { timestamp: 1_700_000_000_000 })
  b.apple.faults.answerDevice(tokenOf(2), 'BadDeviceToken')
  b.apple.faults.answerDevice(tokenOf(3), 'InternalServerError')
  b.apple.faults.answerDevice(tokenOf(4), 'Forbidden')
  assert.deepEqual(await b.send(1), { kind: 'gone', reason: 'Unregistered', since: 1_700_000_000_000 })
  assert.deepEqual(await b.send(2), { kind: 'refused token', reason: 'BadDeviceToken' })
  assert.deepEqual(await b.send(3), { kind: 'later push', reason: 'InternalServerError' })
  assert.deepEqual(await b.send(4), { kind: 'refused setup', reason: 'Forbidden' })
  assert.equal(b.apple.connections.attempts, 1)
})

test('after IdleTimeout the next push goes over a new connection', async t => {
  const b = await bench(t)
  await b.send(1)
  b.apple.faults.answer('IdleTimeout', { times: 1 })
  assert.deepEqual(await b.send(1), { kind: 'broken stream', reason: 'IdleTimeout' })
  assert.deepEqual(await b.send(1), OK)
  assert.equal(b.apple.connections.attempts, 2)
})

test('each push is tried once, whatever Apple answers', async t => {
  const b = await bench(t)
  for (const reason of ['ServiceUnavailable', 'InternalServerError', 'TooManyRequests'] as const) {
    b.apple.clear()
    b.apple.faults.answer(reason)
    await b.send(1)
    assert.equal(b.apple.counts.requests, 1, reason)
  }
})

test('pushing with a certificate loads nothing that reads certificates or signs tokens', () => {
  const script = `
    const { ApnClient } = require(process.argv[1])
    const auth = { kind: 'certificate', cert: '', key: '' }
    const endpoint = { host: '', port: 443, environment: 'production', requestTimeoutMs: 1 }
    new ApnClient({ auth, topic: 'a', topics: ['a'] }, endpoint)
    console.log(Object.keys(require.cache).join())`
  const client = path.join(__dirname, '..', '..', 'plugins', 'xaps', 'apns', 'client.js')
  const loaded = execFileSync(process.execPath, ['-e', script, client], { encoding: 'utf8' })
  assert.match(loaded, /lib.client\.js/)
  assert.doesNotMatch(loaded, /node-forge|jsonwebtoken/)
})

// Limits

for (const streams of [1, 100]) {
  test(`a peer that takes ${streams} streams gets no more at a time`, async t => {
    const b = await bench(t, { maxConcurrentStreams: streams })
    b.apple.faults.latency(5)
    assertAll(await sendMany(b, 150), 150, 'sent')
    assert.equal(b.apple.connections.attempts, 1)
    assert.equal(b.apple.counts.aborted, 0)
  })
}

test('waiting for a stream does not count as time without an answer', async t => {
  const b = await bench(t, { maxConcurrentStreams: 1, endpoint: { requestTimeoutMs: 400 } })
  b.apple.faults.latency(20)
  assertAll(await sendMany(b, 40), 40, 'sent')
})

test('a limit that is raised while pushes wait is used at once', async t => {
  const b = await bench(t, { maxConcurrentStreams: 1 })
  await b.send(0)
  b.apple.faults.hang(1)
  const all = sendMany(b, 20)
  await b.apple.waitForRequest(2)
  b.apple.faults.streamLimit(100)
  await b.apple.waitFor(20)
  const [hanging] = await all
  assert.equal(hanging?.kind, 'broken stream')
})

test('a limit that is cut to one stream in mid-flight fails no push', async t => {
  const b = await bench(t)
  await b.send(0)
  b.apple.faults.latency(5)
  const first = sendMany(b, 100)
  await b.apple.waitForRequest(2)
  b.apple.faults.streamLimit(1)
  // Before the news has come these go out beyond the limit, and are refused.
  const second = sendMany(b, 100, 100)
  assertAll(await first, 100, 'sent')
  assertAll(await second, 100, 'sent')
  assert.equal(b.apple.connections.attempts, 1)
})

test('on a new connection one push goes ahead, with certificate and with provider token', async t => {
  const key = providerKey()
  const b = await bench(t, { providerKeys: [key] })
  for (const credentials of [certificateFor(b.apple), tokenFor(b.apple, key)]) {
    b.transport.renew(credentials)
    b.apple.clear()
    b.apple.faults.latency(200)
    const all = sendMany(b, 20)
    await b.apple.waitForRequest(1)
    await new Promise(resolve => setTimeout(resolve, 20))
    assert.equal(b.apple.counts.requests, 1)
    b.apple.faults.latency(0)
    assertAll(await all, 20, 'sent')
    assert.equal(b.apple.counts.aborted, 0)
  }
})
