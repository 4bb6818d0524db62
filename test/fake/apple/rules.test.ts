import assert from 'node:assert/strict'
import type http2 from 'node:http2'
import { after, before, test } from 'node:test'
import { type Changes, connect, connected, PAYLOAD, push, TOKEN } from './bare-client.ts'
import { MAIL_TOPIC, pushCertificate } from './certificates.ts'
import { PAYLOAD_LIMIT } from './rules.ts'
import { type Apple, startApple } from './server.ts'

let apple: Apple
let session: http2.ClientHttp2Session

before(async () => {
  apple = await startApple()
  session = await connect(apple, pushCertificate())
})

after(async () => {
  session.destroy()
  await apple.close()
})

const padded = (bytes: number) => PAYLOAD.replace(/}$/, `,"x":"${'x'.repeat(bytes - PAYLOAD.length - 7)}"}`)

const named = (headers: Exclude<Changes['headers'], undefined>): Changes => ({ headers })

const REFUSED: readonly (readonly [what: string, changes: Changes, status: number, reason: string])[] = [
  ['a method that is not POST', named({ ':method': 'PUT' }), 405, 'MethodNotAllowed'],
  ['a path that is not that of a device', named({ ':path': `/2/device/${TOKEN}` }), 404, 'BadPath'],
  ['a path without a token', { token: '' }, 400, 'MissingDeviceToken'],
  ['a token that is not hex', { token: 'zz'.repeat(32) }, 400, 'BadDeviceToken'],
  ['a token of odd length', { token: 'a'.repeat(63) }, 400, 'BadDeviceToken'],
  ['a token of under 16 bytes', { token: 'a'.repeat(30) }, 400, 'BadDeviceToken'],
  ['a token of over 100 bytes', { token: 'a'.repeat(202) }, 400, 'BadDeviceToken'],
  ['a token that no phone has', { token: '0'.repeat(64) }, 400, 'BadDeviceToken'],
  ['a topic of another certificate', named({ 'apns-topic': 'org.example' }), 400, 'TopicDisallowed'],
  ['a topic that can be none', named({ 'apns-topic': 'a topic' }), 400, 'BadTopic'],
  ['a push type that does not exist', named({ 'apns-push-type': 'mail' }), 400, 'InvalidPushType'],
  ['no push type', named({ 'apns-push-type': undefined }), 400, 'InvalidPushType'],
  ['a priority that does not exist', named({ 'apns-priority': '7' }), 400, 'BadPriority'],
  ['an expiration that is no whole number', named({ 'apns-expiration': '1.5' }), 400, 'BadExpirationDate'],
  ['a collapse id of 65 bytes', named({ 'apns-collapse-id': 'x'.repeat(65) }), 400, 'BadCollapseId'],
  ['an id that is no UUID', named({ 'apns-id': '42' }), 400, 'BadMessageId'],
  ['no payload', { body: '' }, 400, 'PayloadEmpty'],
  ['a payload that is no JSON', { body: 'aps' }, 400, 'PayloadEmpty'],
  ['a payload without aps', { body: '{}' }, 400, 'PayloadEmpty'],
  ['a payload of 4097 bytes', { body: padded(PAYLOAD_LIMIT + 1) }, 413, 'PayloadTooLarge'],
]

for (const [what, changes, status, reason] of REFUSED) {
  test(`${what} is refused: ${status} ${reason}`, async () => {
    const answer = await push(session, changes)
    assert.deepEqual({ status: answer.status, ...answer.body }, { status, reason })
    assert.match(String(answer.headers['apns-id']), /^[0-9a-f-]{36}$/)
  })
}

const ACCEPTED: readonly (readonly [what: string, changes: Changes])[] = [
  ['a plain push', {}],
  ['a token in upper case', { token: TOKEN.toUpperCase() }],
  ['a token of 16 bytes', { token: 'a1'.repeat(16) }],
  ['a token of 100 bytes', { token: 'a1'.repeat(100) }],
  ['no topic, since the certificate has just one', { headers: { 'apns-topic': undefined } }],
  ['each priority', { headers: { 'apns-priority': '1' } }],
  ['an expiration at once', { headers: { 'apns-expiration': '0' } }],
  ['a collapse id of 64 bytes', { headers: { 'apns-collapse-id': 'x'.repeat(64) } }],
  ['a payload of 4096 bytes', { body: padded(PAYLOAD_LIMIT) }],
]

for (const [what, changes] of ACCEPTED) {
  test(`${what} is accepted`, async () => {
    const answer = await push(session, changes)
    assert.deepEqual([answer.status, answer.body], [200, {}])
    assert.match(String(answer.headers['apns-id']), /^[0-9a-f-]{36}$/)
  })
}

test('the id of a push comes back in the answer, whatever the answer is', async () => {
  const id = 'eabeae54-14a8-11e5-b60b-1697f925ec7b'
  assert.equal((await push(session, { headers: { 'apns-id': id } })).headers['apns-id'], id)
  assert.equal((await push(session, { headers: { 'apns-id': id }, body: '' })).headers['apns-id'], id)
})

test('a push is recorded with all that it said', async () => {
  apple.clear()
  const headers = { 'apns-priority': '5', 'content-type': 'application/json' }
  await push(session, { headers, token: TOKEN.toUpperCase() })
  const [request] = await apple.waitFor(1)
  assert.ok(request)
  assert.equal(request.token, TOKEN.toUpperCase())
  assert.equal(request.topic, MAIL_TOPIC)
  assert.equal(request.headers['content-type'], 'application/json')
  assert.deepEqual(request.payload, JSON.parse(PAYLOAD))
  assert.deepEqual([request.status, request.reason, request.session], [200, undefined, 1])
  assert.ok(Math.abs(request.epoch - Date.now()) < 60_000)
})

test('a refused push is a request, not a push', async () => {
  apple.clear()
  await push(session, { body: '' })
  await push(session)
  assert.deepEqual(
    apple.requests.map(({ status, reason }) => [status, reason]),
    [
      [400, 'PayloadEmpty'],
      [200, undefined],
    ],
  )
  assert.equal(apple.pushes.length, 1)
  assert.deepEqual(apple.counts, { requests: 2, accepted: 1, aborted: 0 })
})

test('without recording pushes are judged and counted, not kept', async t => {
  const light = await connected(t, pushCertificate(), { record: false, gate: false })
  assert.equal((await push(light.session)).status, 200)
  assert.equal((await push(light.session, { body: '' })).status, 400)
  assert.deepEqual(light.apple.counts, { requests: 2, accepted: 1, aborted: 0 })
  assert.equal(light.apple.requests.length, 0)
})
