/** Whose a connection is: certificates, provider tokens, and the streams that they open. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { type Changes, connected, push, verdictOn } from './bare-client.ts'
import { authority, MAIL_TOPIC, makeAuthority, pushCertificate, serverCertificate } from './certificates.ts'
import { providerKey, providerToken, type TokenClaims } from './provider-key.ts'
import type { AppleOptions } from './server.ts'

const HOUR_S = 3600
const MINUTE_S = 60
const OK = [200]

const pair = pushCertificate()
const key = providerKey({ topics: [MAIL_TOPIC] })
const KNOWN: AppleOptions = { providerKeys: [key] }
const now = () => Math.floor(Date.now() / 1000)

const withToken = (token: string, headers: Changes['headers'] = {}): Changes => ({
  headers: { authorization: `bearer ${token}`, ...headers },
})
const signed = (claims?: TokenClaims) => withToken(providerToken(key, claims))

test('the server certificate is for its name and for both loopback addresses', () => {
  const certificate = new X509Certificate(serverCertificate(authority(), 'push.test').certificate)
  assert.ok(certificate.checkHost('push.test'))
  for (const address of ['127.0.0.1', '::1']) assert.ok(certificate.checkIP(address), address)
})

const stranger = pushCertificate({ issuer: makeAuthority() })
const expired = pushCertificate({ notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') })
const sandboxOnly = pushCertificate({ production: false })
const productionOnly = pushCertificate({ sandbox: false })

const REFUSED = [
  ['neither certificate nor token', undefined, 'production', 'MissingProviderToken'],
  ['a certificate of another authority', stranger, 'production', 'BadCertificate'],
  ['an expired certificate', expired, 'production', 'BadCertificate'],
  ['a certificate for the sandbox alone', sandboxOnly, 'production', 'BadCertificateEnvironment'],
  ['a certificate for production alone', productionOnly, 'sandbox', 'BadCertificateEnvironment'],
] as const

for (const [what, certificate, environment, reason] of REFUSED) {
  test(`${what} is refused in ${environment}: ${reason}`, async t => {
    const { session } = await connected(t, certificate, { environment })
    assert.deepEqual(await verdictOn(session), [403, reason])
  })
}

test('a certificate with several topics needs one of them to be named', async t => {
  const topics = [MAIL_TOPIC, 'com.apple.mobilemail.push.org.example']
  const { session } = await connected(t, pushCertificate({ topics }))
  const verdict = (topic?: string) => verdictOn(session, { headers: { 'apns-topic': topic } })
  assert.deepEqual(await verdict(), [400, 'MissingTopic'])
  assert.deepEqual(await verdict(topics[1]), OK)
  assert.deepEqual(await verdict('org.example'), [400, 'TopicDisallowed'])
})

test('a client with a certificate is not asked for its token', async t => {
  const { session } = await connected(t, pair)
  assert.deepEqual(await verdictOn(session, withToken('not.a.token')), OK)
})

test('a token of a known key is accepted for the topics of its team', async t => {
  const { session } = await connected(t, undefined, KNOWN)
  const token = providerToken(key)
  const verdict = (headers?: Changes['headers']) => verdictOn(session, withToken(token, headers))
  assert.deepEqual(await verdict(), OK)
  assert.deepEqual(await verdict({ 'apns-topic': 'org.example' }), [400, 'TopicDisallowed'])
  assert.deepEqual(await verdict({ 'apns-topic': undefined }), [400, 'MissingTopic'])
})

/** What is wrong with a token → the token. */
const WRONG: Readonly<Record<string, () => string>> = {
  'no JWT': () => 'token',
  'a JWT of garbage': () => 'a.b.c',
  'another algorithm': () => providerToken(key, { alg: 'HS256' }),
  'an unknown key id': () => providerToken(key, { kid: 'XXXXXXXXXX' }),
  'another team': () => providerToken(key, { iss: 'XXXXXXXXXX' }),
  'no time': () => providerToken(key, { iat: null }),
  'a time to come': () => providerToken(key, { iat: now() + 10 * MINUTE_S }),
  'the signature of another key': () => providerToken(providerKey()),
}

for (const [what, token] of Object.entries(WRONG)) {
  test(`a provider token with ${what} is refused: InvalidProviderToken`, async t => {
    const { session } = await connected(t, undefined, KNOWN)
    assert.deepEqual(await verdictOn(session, withToken(token())), [403, 'InvalidProviderToken'])
  })
}

test('a key of the other environment is refused', async t => {
  const sandboxKey = providerKey({ environment: 'sandbox' })
  const { session } = await connected(t, undefined, { providerKeys: [sandboxKey] })
  const { status, body } = await push(session, withToken(providerToken(sandboxKey)))
  assert.deepEqual([status, body], [403, { reason: 'BadEnvironmentKeyIdInToken' }])
})

test('a token expires after an hour, also one that was good before', async t => {
  let hours = 0
  const clock = { now: () => Date.now() + hours * HOUR_S * 1000, after: () => ({ cancel: () => undefined }) }
  const { session } = await connected(t, undefined, { ...KNOWN, clock })
  const old = signed({ iat: now() - HOUR_S - 5 })
  assert.deepEqual(await verdictOn(session, old), [403, 'ExpiredProviderToken'])
  const fresh = signed()
  assert.deepEqual(await verdictOn(session, fresh), OK)
  hours = 1.01
  assert.deepEqual(await verdictOn(session, fresh), [403, 'ExpiredProviderToken'])
})

test('a token that is renewed within 20 minutes is refused, and the old one stays good', async t => {
  const { session } = await connected(t, undefined, KNOWN)
  const old = signed({ iat: now() - 50 * MINUTE_S })
  assert.deepEqual(await verdictOn(session, old), OK)
  const early = signed({ iat: now() - 31 * MINUTE_S })
  assert.deepEqual(await verdictOn(session, early), [429, 'TooManyProviderTokenUpdates'])
  assert.deepEqual(await verdictOn(session, old), OK)
  assert.deepEqual(await verdictOn(session, signed({ iat: now() - 29 * MINUTE_S })), OK)
})

for (const [tokenUpdates, verdict] of [
  ['connection', OK],
  ['key', [429, 'TooManyProviderTokenUpdates']],
] as const) {
  test(`with updates counted per ${tokenUpdates}, another token over another connection is ${verdict.join(' ')}`, async t => {
    const { session, another } = await connected(t, undefined, { ...KNOWN, tokenUpdates })
    assert.deepEqual(await verdictOn(session, signed({ iat: now() - 1 })), OK)
    assert.deepEqual(await verdictOn(await another(), signed()), verdict)
  })
}

test('a token connection has one stream until its first valid request, then as many as others', async t => {
  const { session } = await connected(t, undefined, KNOWN)
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
  const { session } = await connected(t, pair, { maxConcurrentStreams: 100 })
  assert.equal(session.remoteSettings.maxConcurrentStreams, 100)
})
