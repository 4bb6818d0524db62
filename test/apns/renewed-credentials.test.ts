/** Credentials that change, end, or are of no use, as the connection to Apple sees them. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { pushCertificate } from '../fake/apple/certificates.ts'
import { providerKey } from '../fake/apple/provider-key.ts'
import type { Apple } from '../fake/apple/server.ts'
import { certificateFor, line, sendMany, tokenFor } from '../push/line.ts'
import { OK } from '../push/parts.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { until } from '../support/wait.ts'

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
    credentials: { auth: { kind: 'token', key: 'no key', keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ' } },
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

test('after a clock set back a provider token that Apple calls expired is renewed', async t => {
  const key = providerKey()
  const time = new FakeClock()
  const l = await line(t, { providerKeys: [key], time })
  l.transport.renew(tokenFor(l.apple, key))
  await l.send(1)
  await time.advance(-5 * 3_600_000)
  // A token of the same second would be the same token.
  await new Promise(resolve => setTimeout(resolve, 1_100))
  l.apple.faults.answer('ExpiredProviderToken', { times: 1 })
  await l.send(1)
  await l.send(1)
  assert.equal(tokens(l.apple).size, 2)
})

test('pushes that wait for their turn when the credentials are renewed go over the new connection', async t => {
  const l = await line(t)
  l.apple.faults.hang(1)
  const all = sendMany(l, 20)
  await l.apple.waitForRequest(1)
  l.transport.renew(certificateFor(l.apple, pushCertificate()))
  const [first, ...others] = await all
  assert.ok(first && 'fault' in first)
  assert.deepEqual(others, Array(19).fill(OK))
  assert.equal(l.apple.connections.attempts, 2)
})

function tokens({ requests }: Apple): Set<unknown> {
  return new Set(requests.map(({ headers }) => headers.authorization))
}
