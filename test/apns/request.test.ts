/** One request against peers that answer in every way that HTTP/2 allows. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import test, { type TestContext } from 'node:test'
import { makePush } from '../../plugins/xaps/apns/payload.ts'
import { request } from '../../plugins/xaps/apns/request.ts'
import type { Answer } from '../../plugins/xaps/apns/verdict.ts'
import { systemClock } from '../../plugins/xaps/base/clock.ts'
import { deviceOf, SETTINGS } from '../push/parts.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { until } from '../support/wait.ts'

const PUSH = makePush(deviceOf(1), SETTINGS, Date.now())

/** A session to a server of the test's own that answers every stream by `answer`. */
async function peer(
  t: TestContext,
  answer: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
) {
  const server = createServer()
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined)
    answer(stream, headers)
  })
  await once(server.listen(0), 'listening')
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  session.on('error', () => undefined)
  t.after(() => {
    session.destroy()
    server.close()
  })
  return session
}

const send = (session: ClientHttp2Session, timeoutMs = 60_000, clock = systemClock) =>
  request(session, PUSH, timeoutMs, clock)

/** A peer that refuses with this status, these headers and this body. */
const refusing = (t: TestContext, status: number, body: string, headers = {}) =>
  peer(t, stream => {
    stream.respond({ ':status': status, ...headers })
    stream.end(body)
  })

test('an accepted push has the name that Apple gives it, and no longer one', async t => {
  const id = 'eabeae54-14a8-11e5-b60b-1697f925ec7b'
  const answering = (name: string) =>
    peer(t, stream => stream.respond({ ':status': 200, 'apns-id': name }, { endStream: true }))
  assert.deepEqual(await send(await answering(id)), { status: 200, reason: '', id })
  const { id: long = '' } = (await send(await answering('x'.repeat(1000)))) as Answer
  assert.equal(long.length, 64)
})

test('an answer leaves no timer', async t => {
  const clock = new FakeClock()
  const session = await peer(t, stream => stream.respond({ ':status': 200 }, { endStream: true }))
  for (let index = 0; index < 5; index++) {
    assert.deepEqual(await send(session, 1_000, clock), { status: 200, reason: '' })
  }
  await until(() => clock.timers === 0, 'no timer')
})

test('without an answer in time the stream is cancelled, and others go on', async t => {
  const clock = new FakeClock()
  const codes: number[] = []
  let streams = 0
  const session = await peer(t, stream => {
    stream.on('close', () => codes.push(stream.rstCode))
    streams += 1
    if (streams > 1) stream.respond({ ':status': 200 }, { endStream: true })
  })
  const hanging = send(session, 1_000, clock)
  await until(() => streams === 1, 'the first stream')
  assert.deepEqual(await send(session, 2_000, clock), { status: 200, reason: '' })
  await clock.advance(1_000)
  assert.deepEqual(await hanging, { fault: 'no answer within 1000 ms', timedOut: true })
  await until(() => codes.includes(constants.NGHTTP2_CANCEL), 'the stream to be cancelled')
  assert.deepEqual(await send(session, 1_000, clock), { status: 200, reason: '' })
})

test('headers, and then nothing, is no answer', async t => {
  const clock = new FakeClock()
  let answered = 0
  const session = await peer(t, stream => {
    stream.respond({ ':status': answered++ === 0 ? 200 : 410 })
  })
  for (const count of [1, 2]) {
    const outcome = send(session, 1_000, clock)
    await until(() => answered === count, 'the headers')
    await clock.advance(1_000)
    assert.deepEqual(await outcome, { fault: 'no answer within 1000 ms', timedOut: true })
  }
})

test('a yes with a long body is a yes, and its stream ends', async t => {
  let closed = false
  const session = await peer(t, stream => {
    stream.on('close', () => {
      closed = true
    })
    stream.respond({ ':status': 200 })
    stream.end('x'.repeat(1_000_000))
  })
  assert.deepEqual(await send(session), { status: 200, reason: '' })
  await until(() => closed, 'the end of the stream')
})

test('a refusal is read in as many pieces as it comes', async t => {
  const body = Buffer.from('{"reason":"ä€"}')
  const session = await peer(t, stream => {
    stream.respond({ ':status': 400 })
    stream.write(body.subarray(0, 12), () => setImmediate(() => stream.end(body.subarray(12))))
  })
  assert.deepEqual(await send(session), { status: 400, reason: 'ä€' })
})

test('what has no reason is none of Apple\u2019s answers', async t => {
  for (const body of ['', 'null', '7', '<html>busy</html>', '[]', '{"reason":{}}', '{"reason":"Unregist']) {
    const session = await refusing(t, 410, body)
    assert.deepEqual(await send(session), { fault: 'status 410 without a reason', timedOut: false }, body)
  }
})

test('a timestamp is a number after 1970, or it is none', async t => {
  for (const timestamp of ['0', '-1', '"x"', '{"toString":1}', `${'['.repeat(1_000)}${']'.repeat(1_000)}`]) {
    const session = await refusing(t, 410, `{"reason":"Unregistered","timestamp":${timestamp}}`)
    assert.deepEqual(await send(session), { status: 410, reason: 'Unregistered' }, timestamp)
  }
  const session = await refusing(t, 410, '{"reason":"Unregistered","timestamp":1700000000000}')
  assert.deepEqual(await send(session), { status: 410, reason: 'Unregistered', timestamp: 1_700_000_000_000 })
})

test('Retry-After may be seconds or a date; an hour is the most', async t => {
  const clock = new FakeClock()
  const inAMinute = new Date(clock.now() + 60_000).toUTCString()
  for (const [header, retryAfterMs] of [
    ['7', 7_000],
    [inAMinute, 60_000],
    ['999999', 3_600_000],
    ['soon', undefined],
    ['0', undefined],
  ] as const) {
    const session = await refusing(t, 429, '{"reason":"TooManyRequests"}', { 'retry-after': header })
    const said = await send(session, 60_000, clock)
    assert.ok('status' in said)
    assert.equal(said.retryAfterMs, retryAfterMs, header)
  }
})

test('an answer that has no end fills no memory and ends in time', async t => {
  const session = await peer(t, stream => {
    stream.respond({ ':status': 400 })
    const more = (): void => {
      while (!stream.destroyed && stream.write('x'.repeat(65_536)));
    }
    stream.on('drain', more)
    more()
  })
  const before = process.memoryUsage().rss
  assert.deepEqual(await send(session, 500), { fault: 'no answer within 500 ms', timedOut: true })
  assert.ok(process.memoryUsage().rss - before < 200_000_000)
})

test('an answer that is cut short is a fault, whoever cuts it', async t => {
  const cuts: Readonly<Record<string, (stream: ServerHttp2Stream) => void>> = {
    cancelled: stream => stream.close(constants.NGHTTP2_CANCEL),
    'closed with no error': stream => stream.close(constants.NGHTTP2_NO_ERROR),
    'reset with an error': stream => stream.close(constants.NGHTTP2_INTERNAL_ERROR),
    'the connection ends': stream => stream.session?.destroy(),
  }
  for (const [what, cut] of Object.entries(cuts)) {
    const session = await peer(t, stream => {
      stream.respond({ ':status': 410 })
      stream.write('{"reason":"Unregi', () => cut(stream))
    })
    assert.ok('fault' in (await send(session)), what)
  }
})

test('a session that takes no request is a fault, not an exception', async t => {
  const session = await peer(t, () => undefined)
  session.destroy()
  const outcome = await send(session)
  assert.ok('fault' in outcome && /destroyed/.test(outcome.fault), JSON.stringify(outcome))
})
