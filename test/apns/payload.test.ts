import assert from 'node:assert/strict'
import test from 'node:test'
import { makePush, type PushSettings } from '../../plugins/xaps/apns/payload.ts'
import { deviceOf, SETTINGS, TOPIC, tokenOf } from '../push/parts.ts'

const NOW = 1_900_000_000_999

function headersWith(settings: Partial<PushSettings>, account?: string): Record<string, unknown> {
  const device = deviceOf(1, account === undefined ? {} : { account })
  return { ...makePush(device, { ...SETTINGS, ...settings }, NOW).headers }
}

test('the push names the account and nothing else', () => {
  const push = makePush(deviceOf(1), SETTINGS, NOW)
  assert.deepEqual(JSON.parse(push.body), { aps: { 'account-id': deviceOf(1).account } })
})

test('the headers are those of a background push to Mail', () => {
  assert.deepEqual(headersWith({}), {
    ':method': 'POST',
    ':path': `/3/device/${tokenOf(1)}`,
    'apns-topic': TOPIC,
    'apns-push-type': 'background',
    'apns-expiration': 1_900_086_400,
    'apns-priority': '5',
    'content-type': 'application/json',
  })
})

test('priority 10 is sent, none is left out', () => {
  assert.equal(headersWith({ priority: '10' })['apns-priority'], '10')
  assert.ok(!('apns-priority' in headersWith({ priority: 'none' })))
})

test('an expiration of 0 asks Apple not to keep the push', () => {
  assert.equal(headersWith({ expirationMs: 0 })['apns-expiration'], 0)
})

test('the collapse id is the account id where it fits, otherwise a digest of 64 characters', () => {
  assert.equal(headersWith({ collapseId: true })['apns-collapse-id'], deviceOf(1).account)
  for (const account of ['ä', 'a b', 'x'.repeat(65), '']) {
    const id = String(headersWith({ collapseId: true }, account)['apns-collapse-id'])
    assert.match(id, /^[0-9a-f]{64}$/, account)
  }
})

test('the largest account id leaves the body within what Apple takes', () => {
  const { body } = makePush(deviceOf(1, { account: '\u0000'.repeat(128) }), SETTINGS, NOW)
  assert.ok(Buffer.byteLength(body) <= 4096)
})
