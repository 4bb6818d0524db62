import assert from 'node:assert/strict'
import type http2 from 'node:http2'
import { type TestContext, test } from 'node:test'
import { type Changes, connect, push } from './bare-client.ts'
import { MAIL_TOPIC, makeAuthority, type Pair, pushCertificate } from './certificates.ts'
import { providerKey, providerToken, type TokenClaims } from './provider-key.ts'
import { type AppleOptions, startApple } from './server.ts'

const HOUR_S = 3600
const MINUTE_S = 60

const pair = pushCertificate()
const key = providerKey({ topics: [MAIL_TOPIC] })
const now = () => Math.floor(Date.now() / 1000)

/** An Apple and one connection to it, both closed when the test is done. */
async function connected(
  t: TestContext,
  options: AppleOptions = {},
  credentials?: Pair,
): Promise<{ session: http2.ClientHttp2Session; another(): Promise<http2.ClientHttp2Session> }> {
  const apple = await startApple(options)
  const sessions: http2.ClientHttp2Session[] = []
  t.after(async () => {
    for (const session of sessions) session.destroy()
    await apple.close()
  })
  const another = async () => {
    const session = await connect(apple, credentials)
    sessions.push(session)
    return session
  }
  return { session: await another(), another }
}

const withToken = (token: string): Changes => ({ headers: { authorization: `bearer ${token}` } })
const signed = (claims?: TokenClaims) => withToken(providerToken(key, claims))

async function reasonFor(session: http2.ClientHttp2Session, changes?: Changes): Promise<unknown> {
  const { status, body } = await push(session, changes)
  return status === 200 ? 200 : body.reason
}

test('neither certificate nor token: MissingProviderToken', async t => {
  const { session } = await connected(t)
  const { status, body } = await push(session)
  assert.deepEqual([status, body], [403, { reason: 'MissingProviderToken' }])
})

test('a certificate of another authority: BadCertificate', async t => {
  const { session } = await connected(t, {}, pushCertificate({ issuer: makeAuthority() }))
  const { status, body } = await push(session)
  assert.deepEqual([status, body], [403, { reason: 'BadCertificate' }])
})

test('an expired certificate: BadCertificate', async t => {
  const expired = pushCertificate({ notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') })
  const { session } = await connected(t, {}, expired)
  assert.equal(await reasonFor(session), 'BadCertificate')
})

for (const environment of ['production', 'sandbox'] as const) {
  test(`a certificate that is not for ${environment}: BadCertificateEnvironment`, async t => {
    const { session } = await connected(t, { environment }, pushCertificate({ [environment]: false }))
    const { status, body } = await push(session)
    assert.deepEqual([status, body], [403, { reason: 'BadCertificateEnvironment' }])
  })
}

test('a certificate with several topics needs one of them to be named', async t => {
  const topics = [MAIL_TOPIC, 'com.apple.mobilemail.push.org.example']
  const { session } = await connected(t, {}, pushCertificate({ topics }))
  assert.equal(await reasonFor(session, { headers: { 'apns-topic': undefined } }), 'MissingTopic')
  assert.equal(await reasonFor(session, { headers: { 'apns-topic': topics[1] } }), 200)
  assert.equal(await reasonFor(session, { headers: { 'apns-topic': 'org.example' } }), 'TopicDisallowed')
})

test('a client with a certificate is not asked for its token', async t => {
  const { session } = await connected(t, {}, pair)
  assert.equal(await reasonFor(session, withToken('not.a.token')), 200)
})

test('a token of a known key is accepted for the topics of its team', async t => {
  const { session } = await connected(t, { providerKeys: [key] })
  const token = providerToken(key)
  assert.equal(await reasonFor(session, withToken(token)), 200)
  const headers = { authorization: `bearer ${token}`, 'apns-topic': 'org.example' }
  assert.equal(await reasonFor(session, { headers }), 'TopicDisallowed')
  assert.equal(await reasonFor(session, { headers: { ...headers, 'apns-topic': undefined } }), 'MissingTopic')
})

const wrong: readonly (readonly [what: string, token: () => string, reason: string])[] = [
  ['no JWT', () => 'token', 'InvalidProviderToken'],
  ['a JWT of garbage', () => 'a.b.c', 'InvalidProviderToken'],
  ['another algorithm', () => providerToken(key, { alg: 'HS256' }), 'InvalidProviderToken'],
  ['an unknown key id', () => providerToken(key, { kid: 'XXXXXXXXXX' }), 'InvalidProviderToken'],
  ['another team', () => providerToken(key, { iss: 'XXXXXXXXXX' }), 'InvalidProviderToken'],
  ['no time', () => providerToken(key, { iat: null }), 'InvalidProviderToken'],
  ['a time to come', () => providerToken(key, { iat: now() + 10 * MINUTE_S }), 'InvalidProviderToken'],
  ['the signature of another key', () => providerToken(providerKey()), 'InvalidProviderToken'],
  ['an age of over an hour', () => providerToken(key, { iat: now() - HOUR_S - 5 }), 'ExpiredProviderToken'],
]

for (const [what, token, reason] of wrong) {
  test(`a provider token with ${what}: ${reason}`, async t => {
    const { session } = await connected(t, { providerKeys: [key] })
    const { status, body } = await push(session, withToken(token()))
    assert.deepEqual([status, body], [403, { reason }])
  })
}

test('a key of the other environment: BadEnvironmentKeyIdInToken', async t => {
  const sandboxKey = providerKey({ environment: 'sandbox' })
  const { session } = await connected(t, { providerKeys: [sandboxKey] })
  const { status, body } = await push(session, withToken(providerToken(sandboxKey)))
  assert.deepEqual([status, body], [403, { reason: 'BadEnvironmentKeyIdInToken' }])
})

test('a token that was good expires while the clock goes on', async t => {
  let hours = 0
  const clock = { now: () => Date.now() + hours * HOUR_S * 1000, after: () => ({ cancel: () => undefined }) }
  const { session } = await connected(t, { providerKeys: [key], clock })
  const changes = signed()
  assert.equal(await reasonFor(session, changes), 200)
  hours = 1.01
  assert.equal(await reasonFor(session, changes), 'ExpiredProviderToken')
})

test('a token that is renewed within 20 minutes: 429 TooManyProviderTokenUpdates, the old one stays good', async t => {
  const { session } = await connected(t, { providerKeys: [key] })
  const old = signed({ iat: now() - 50 * MINUTE_S })
  assert.equal(await reasonFor(session, old), 200)
  const { status, body } = await push(session, signed({ iat: now() - 31 * MINUTE_S }))
  assert.deepEqual([status, body], [429, { reason: 'TooManyProviderTokenUpdates' }])
  assert.equal(await reasonFor(session, old), 200)
  assert.equal(await reasonFor(session, signed({ iat: now() - 29 * MINUTE_S })), 200)
})

test('connections may use different tokens of one key, as Apple documents', async t => {
  const { session, another } = await connected(t, { providerKeys: [key] })
  assert.equal(await reasonFor(session, signed()), 200)
  assert.equal(await reasonFor(await another(), signed()), 200)
})

test('with updates counted per key, connections may not', async t => {
  const { session, another } = await connected(t, { providerKeys: [key], tokenUpdates: 'key' })
  assert.equal(await reasonFor(session, signed()), 200)
  assert.equal(await reasonFor(await another(), signed()), 'TooManyProviderTokenUpdates')
})

test('a token connection has one stream until its first valid request, then as many as others', async t => {
  const { session } = await connected(t, { providerKeys: [key] })
  const streams = () => session.remoteSettings.maxConcurrentStreams
  assert.equal(streams(), 1)
  await push(session)
  assert.equal(streams(), 1)
  const raised = new Promise(resolve => session.once('remoteSettings', resolve))
  await push(session, signed())
  await raised
  assert.equal(streams(), 1000)
})

test('a connection with a certificate has all its streams from the start', async t => {
  const { session } = await connected(t, { maxConcurrentStreams: 100 }, pair)
  assert.equal(session.remoteSettings.maxConcurrentStreams, 100)
})
