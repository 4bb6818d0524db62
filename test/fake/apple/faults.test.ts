/** Faults that the plugin's own tests (apns/broken-connection and transport, e2e/outages) would not miss. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type http2 from 'node:http2'
import { afterEach, beforeEach, test } from 'node:test'
import { until } from '../../support/wait.ts'
import { connect, open, push, TOKEN, verdictOn } from './bare-client.ts'
import { pushCertificate } from './certificates.ts'
import type { Faults } from './faults.ts'
import { type Apple, startApple } from './server.ts'

const OTHER = 'b2'.repeat(32)
const pair = pushCertificate()

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

/** Settles with the error of a push that must fail. */
const failing = () => push(session).then(({ status }) => assert.fail(`answered ${status}`), String)

const pings = (client: http2.ClientHttp2Session) =>
  new Promise<Error | null>(resolve => client.ping(error => resolve(error)))

/** Connects to and pushes at another Apple, twice: round trips in which what shall not be answered would be. */
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

test('latency holds every answer back for that long', async () => {
  apple.faults.latency(60)
  const begun = performance.now()
  assert.equal(await status(), 200)
  assert.ok(performance.now() - begun >= 59)
})

test('a slow start holds the handshake back for that long, not the connection', async () => {
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

/** A fault → what three pushes in a row are answered. */
const ANSWERS: readonly [what: string, begin: (faults: Faults) => void, statuses: readonly number[]][] = [
  ['every push gets the answer that was set', f => f.answer('ServiceUnavailable'), [503, 503, 503]],
  [
    'a status can differ from Apple’s',
    f => f.answer('InternalServerError', { status: 502 }),
    [502, 502, 502],
  ],
  ['so many pushes only get an answer', f => f.answer('InternalServerError', { times: 2 }), [500, 500, 200]],
  ['a device can have its own', f => f.answerDevice(TOKEN.toUpperCase(), 'Unregistered'), [410, 410, 410]],
  ['another device has its own', f => f.answerDevice(OTHER, 'Unregistered'), [200, 200, 200]],
]

for (const [what, begin, statuses] of ANSWERS) {
  test(`${what}, until all is healed`, async () => {
    begin(apple.faults)
    assert.deepEqual([await status(), await status(), await status()], statuses)
    assert.equal(apple.pushes.length, statuses.filter(status => status === 200).length)
    await apple.heal()
    assert.deepEqual([await status(), await status(session, OTHER)], [200, 200])
  })
}

test('an answer says when to come again, and since when a token is gone', async () => {
  apple.faults.answer('ServiceUnavailable', { retryAfter: 7 })
  assert.equal((await push(session)).headers['retry-after'], '7')
  apple.faults.answer('Unregistered', { timestamp: 1_454_948_015_990 })
  assert.deepEqual(await verdictOn(session), [410, 'Unregistered', 1_454_948_015_990])
  apple.faults.answer('ExpiredToken')
  assert.equal(typeof (await push(session)).body.timestamp, 'number')
})

test('a push that breaks a rule is refused for that, fault or not', async () => {
  apple.faults.answer('ServiceUnavailable')
  assert.deepEqual(await verdictOn(session, { body: '' }), [400, 'PayloadEmpty'])
})

test('a hang leaves pushes unanswered and pings answered', async () => {
  apple.faults.hang(1)
  const hanging = failing()
  await apple.waitForRequest(1)
  assert.equal(await Promise.race([hanging, pings(session)]), null)
  assert.equal(await status(), 200)
  assert.equal(apple.requests[0]?.status, undefined)
})

test('a black hole answers neither pushes nor pings nor new connections, and closes none', async () => {
  apple.faults.blackHole()
  const late = open(apple, pair)
  const swallowed = [status(), pings(session), once(late, 'connect')]
  await until(() => apple.connections.attempts === 2, 'the new connection to be accepted')
  assert.equal(await Promise.race([...swallowed, elsewhere()]), 'elsewhere')
  assert.deepEqual([session.destroyed, late.destroyed], [false, false])
  await apple.heal()
  assert.deepEqual((await Promise.all(swallowed)).slice(0, 2), [200, null])
  late.destroy()
})

for (const streams of [1, 100]) {
  test(`with a limit of ${streams} no more streams than that are open at once`, async () => {
    const told = once(session, 'remoteSettings')
    apple.faults.streamLimit(streams)
    await told
    assert.equal(session.remoteSettings.maxConcurrentStreams, streams)
    apple.faults.hang()
    const pending = Array.from({ length: streams + 5 }, failing)
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
