/** Credentials that change, end, or are of no use, as the connection to Apple sees them. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { pushCertificate } from '../fake/apple/certificates.ts'
import { providerKey } from '../fake/apple/provider-key.ts'
import type { Apple } from '../fake/apple/server.ts'
import { OK } from '../push/parts.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { until } from '../support/wait.ts'
import { bench, certificateFor, sendMany, tokenFor } from './bench.ts'

test('renewed credentials are used on a new connection, and what is in flight on the old one is answered', async t => {
  const b = await bench(t)
  await b.send(0)
  b.apple.faults.latency(150)
  const before = b.send(1)
  await b.apple.waitForRequest(2)
  b.apple.faults.latency(0)
  b.transport.renew(certificateFor(b.apple, pushCertificate()))
  assert.deepEqual(await b.send(2), OK)
  assert.deepEqual(await before, OK)
  assert.deepEqual(
    b.apple.pushes.map(({ session }) => session),
    [1, 1, 2],
  )
  await until(() => b.apple.connections.open === 1, 'the old connection to end')
})

test('files that were written again with the same content change nothing', async t => {
  const b = await bench(t)
  await b.send(0)
  b.transport.renew(certificateFor(b.apple))
  await b.send(1)
  assert.equal(b.apple.connections.attempts, 1)
})

test('a certificate that has ended is not sent; a renewed one is', async t => {
  const b = await bench(t, { credentials: { notAfter: Date.now() - 1_000 } })
  const { kind, reason } = await b.send(1)
  assert.equal(kind, 'refused setup')
  assert.match(reason, /^the certificate ended on \d{4}-/)
  assert.equal(b.apple.connections.attempts, 0)
  b.transport.renew(certificateFor(b.apple))
  assert.deepEqual(await b.send(1), OK)
})

test('a key that is of no use is an answer, not an exception', async t => {
  const b = await bench(t, {
    credentials: { auth: { kind: 'token', key: 'no key', keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ' } },
  })
  assert.equal((await b.send(1)).kind, 'refused setup')
})

test('one provider token serves all connections for 20 minutes, also when Apple calls it expired', async t => {
  const key = providerKey()
  const time = new FakeClock()
  const b = await bench(t, { providerKeys: [key], tokenUpdates: 'key', time })
  b.transport.renew(tokenFor(b.apple, key))
  assert.deepEqual(await b.send(1), OK)
  b.apple.faults.resetConnections()
  await until(() => b.apple.connections.open === 0, 'the connection to end')
  assert.deepEqual(await b.send(1), OK)
  b.apple.faults.answer('ExpiredProviderToken')
  assert.deepEqual(await b.send(1), { kind: 'later all', reason: 'ExpiredProviderToken' })
  assert.deepEqual(await b.send(1), { kind: 'later all', reason: 'ExpiredProviderToken' })
  assert.equal(tokens(b.apple).size, 1)
  await time.advance(20 * 60_000)
  await b.send(1)
  await new Promise(resolve => setTimeout(resolve, 1_100))
  b.apple.faults.answer('ExpiredProviderToken')
  await b.send(1)
  assert.equal(tokens(b.apple).size, 2)
})

test('after a clock set back a provider token that Apple calls expired is renewed', async t => {
  const key = providerKey()
  const time = new FakeClock()
  const b = await bench(t, { providerKeys: [key], time })
  b.transport.renew(tokenFor(b.apple, key))
  await b.send(1)
  await time.advance(-5 * 3_600_000)
  // A token of the same second would be the same token.
  await new Promise(resolve => setTimeout(resolve, 1_100))
  b.apple.faults.answer('ExpiredProviderToken', { times: 1 })
  await b.send(1)
  await b.send(1)
  assert.equal(tokens(b.apple).size, 2)
})

test('pushes that wait for their turn when the credentials are renewed go over the new connection', async t => {
  const b = await bench(t)
  b.apple.faults.hang(1)
  const all = sendMany(b, 20)
  await b.apple.waitForRequest(1)
  b.transport.renew(certificateFor(b.apple, pushCertificate()))
  const [first, ...others] = await all
  assert.match(first?.kind ?? '', /^broken/)
  assert.deepEqual(others, Array(19).fill(OK))
  assert.equal(b.apple.connections.attempts, 2)
})

function tokens({ requests }: Apple): Set<unknown> {
  return new Set(requests.map(({ headers }) => headers.authorization))
}
