import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adviceFor } from '../../plugins/xaps/apns/advice.ts'
import type { VerdictKind } from '../../plugins/xaps/apns/verdict.ts'

const advice = (kind: VerdictKind, reason: string, own: readonly string[] = []) =>
  adviceFor({ kind, reason }, 'certificate', own) ?? ''

test("what Apple says of a device's token is told in plain words, whatever the credentials are", () => {
  const bad = advice('refused token', 'BadDeviceToken')
  assert.match(bad, /tokens of Apple Mail are for \[apns\] environment = production/)
  assert.equal(adviceFor({ kind: 'refused token', reason: 'BadDeviceToken' }, 'token'), bad)
  assert.match(advice('refused device', 'DeviceTokenNotForTopic'), /registers again within a day/)
})

test('a topic that is refused is answered with those of the certificate, where it has some', () => {
  const without = advice('refused setup', 'TopicDisallowed')
  assert.match(without, /^the certificate is for other topics: .*it is in the certificate$/)
  assert.equal(advice('refused setup', 'TopicDisallowed', ['a.b', 'c.d']), `${without} (a.b, c.d)`)
  assert.doesNotMatch(advice('refused setup', 'BadCertificate', ['a.b']), /a\.b/)
})

test('where nothing can be done there is no advice', () => {
  for (const reason of ['', 'InternalServerError', 'TooManyRequests'])
    assert.equal(advice('later push', reason), '')
})
