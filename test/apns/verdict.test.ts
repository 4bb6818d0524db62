/** Every row of Apple's "Handling notification responses from APNs", and what has no answer at all. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { type Answer, type Verdict, verdictOf } from '../../plugins/xaps/apns/verdict.ts'
import { REASONS, type Reason } from '../fake/apple/reasons.ts'

const NOW = 1_900_000_000_000

type Shape =
  | 'sent'
  | 'gone'
  | 'token'
  | 'device'
  | 'setup'
  | 'device later'
  | 'push later'
  | 'all later'
  | 'reconnect'

const EXPECTED: Record<Reason, Shape> = {
  BadCollapseId: 'setup',
  BadDeviceToken: 'token',
  BadExpirationDate: 'setup',
  BadMessageId: 'setup',
  BadPriority: 'setup',
  BadTopic: 'setup',
  DeviceTokenNotForTopic: 'device',
  DuplicateHeaders: 'setup',
  IdleTimeout: 'reconnect',
  InvalidPushType: 'setup',
  MissingDeviceToken: 'setup',
  MissingTopic: 'setup',
  PayloadEmpty: 'setup',
  TopicDisallowed: 'setup',
  BadCertificate: 'setup',
  BadCertificateEnvironment: 'setup',
  ExpiredProviderToken: 'all later',
  Forbidden: 'setup',
  InvalidProviderToken: 'setup',
  MissingProviderToken: 'setup',
  BadPath: 'setup',
  MethodNotAllowed: 'setup',
  ExpiredToken: 'gone',
  Unregistered: 'gone',
  PayloadTooLarge: 'setup',
  TooManyProviderTokenUpdates: 'all later',
  TooManyRequests: 'device later',
  InternalServerError: 'push later',
  ServiceUnavailable: 'push later',
  Shutdown: 'push later',
}

function shapeOf(verdict: Verdict): Shape {
  switch (verdict.kind) {
    case 'refused':
      return verdict.fault
    case 'later':
      return `${verdict.whom} later`
    case 'broken':
      return 'reconnect'
    default:
      return verdict.kind
  }
}

for (const [reason, shape] of Object.entries(EXPECTED) as [Reason, Shape][]) {
  test(`${REASONS[reason]} ${reason}: ${shape}`, () => {
    assert.equal(shapeOf(verdictOf({ status: REASONS[reason], reason }, NOW)), shape)
  })
}

const OTHERS: readonly (readonly [Answer, Verdict])[] = [
  [{ status: 200, reason: '' }, { kind: 'sent' }],
  [
    { status: 410, reason: 'Unregistered', timestamp: 123 },
    { kind: 'gone', since: 123 },
  ],
  [
    { status: 410, reason: 'Unregistered' },
    { kind: 'gone', since: NOW },
  ],
  [
    { status: 410, reason: 'Unregistered', timestamp: NOW + 3_600_000 },
    { kind: 'gone', since: NOW },
  ],
  [
    { status: 410, reason: 'ANewReason', timestamp: 123 },
    { kind: 'gone', since: 123 },
  ],
  [
    { status: 400, reason: 'ANewReason' },
    { kind: 'refused', reason: 'ANewReason', fault: 'setup' },
  ],
  [
    { status: 418, reason: '' },
    { kind: 'refused', reason: '', fault: 'setup' },
  ],
  [
    { status: 429, reason: 'TooManyRequests' },
    { kind: 'later', whom: 'device', reason: 'TooManyRequests', afterMs: 15_000 },
  ],
  [
    { status: 429, reason: 'TooManyRequests', retryAfterMs: 7_000 },
    { kind: 'later', whom: 'device', reason: 'TooManyRequests', afterMs: 7_000 },
  ],
  [
    { status: 429, reason: 'TooManyProviderTokenUpdates' },
    { kind: 'later', whom: 'all', reason: 'TooManyProviderTokenUpdates', afterMs: 20 * 60_000 },
  ],
  [
    { status: 503, reason: 'ServiceUnavailable' },
    { kind: 'later', whom: 'push', reason: 'ServiceUnavailable' },
  ],
  [
    { status: 503, reason: 'Shutdown', retryAfterMs: 30_000 },
    { kind: 'later', whom: 'push', reason: 'Shutdown', afterMs: 30_000 },
  ],
  [
    { status: 502, reason: '' },
    { kind: 'later', whom: 'push', reason: '' },
  ],
  [
    { fault: 'ECONNRESET', of: 'connection' },
    { kind: 'broken', reason: 'ECONNRESET', of: 'connection' },
  ],
  [
    { fault: 'stream reset', of: 'stream' },
    { kind: 'broken', reason: 'stream reset', of: 'stream' },
  ],
  [
    { unusable: 'the certificate ended' },
    { kind: 'refused', reason: 'the certificate ended', fault: 'setup' },
  ],
]

for (const [answer, verdict] of OTHERS) {
  test(`${JSON.stringify(answer)} means ${verdict.kind}`, () => {
    assert.deepEqual(verdictOf(answer, NOW), verdict)
  })
}
