/** Every row of Apple's "Handling notification responses from APNs", and what has no answer at all. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { type Answer, type Verdict, type VerdictKind, verdictOf } from '../../plugins/xaps/apns/verdict.ts'
import { REASONS, type Reason } from '../fake/apple/reasons.ts'

const NOW = 1_900_000_000_000

const EXPECTED: Record<Reason, VerdictKind> = {
  BadCollapseId: 'refused setup',
  BadDeviceToken: 'refused token',
  BadExpirationDate: 'refused setup',
  BadMessageId: 'refused setup',
  BadPriority: 'refused setup',
  BadTopic: 'refused setup',
  DeviceTokenNotForTopic: 'refused device',
  DuplicateHeaders: 'refused setup',
  IdleTimeout: 'broken stream',
  InvalidPushType: 'refused setup',
  MissingDeviceToken: 'refused setup',
  MissingTopic: 'refused setup',
  PayloadEmpty: 'refused setup',
  TopicDisallowed: 'refused setup',
  BadCertificate: 'refused setup',
  BadCertificateEnvironment: 'refused setup',
  BadEnvironmentKeyIdInToken: 'refused setup',
  ExpiredProviderToken: 'later all',
  Forbidden: 'refused setup',
  InvalidProviderToken: 'refused setup',
  MissingProviderToken: 'refused setup',
  UnrelatedKeyIdInToken: 'refused setup',
  BadPath: 'refused setup',
  MethodNotAllowed: 'refused setup',
  ExpiredToken: 'gone',
  Unregistered: 'gone',
  PayloadTooLarge: 'refused setup',
  TooManyProviderTokenUpdates: 'later all',
  TooManyRequests: 'later device',
  InternalServerError: 'later push',
  ServiceUnavailable: 'later push',
  Shutdown: 'later push',
}

for (const [reason, kind] of Object.entries(EXPECTED) as [Reason, VerdictKind][]) {
  test(`${REASONS[reason]} ${reason}: ${kind}`, () => {
    assert.equal(verdictOf({ status: REASONS[reason], reason }, NOW).kind, kind)
  })
}

const OTHERS: readonly (readonly [answer: Answer, verdict: Verdict])[] = [
  [
    { status: 200, reason: '' },
    { kind: 'sent', reason: '' },
  ],
  [gone({ timestamp: 123 }), { kind: 'gone', reason: 'Unregistered', since: 123 }],
  [gone({}), { kind: 'gone', reason: 'Unregistered', since: NOW }],
  [gone({ timestamp: NOW + 3_600_000 }), { kind: 'gone', reason: 'Unregistered', since: NOW }],
  [gone({ reason: 'ANewReason', timestamp: 123 }), { kind: 'gone', reason: 'ANewReason', since: 123 }],
  [
    { status: 400, reason: 'New' },
    { kind: 'refused setup', reason: 'New' },
  ],
  [
    { status: 418, reason: '' },
    { kind: 'refused setup', reason: '' },
  ],
  [
    { status: 403, reason: 'Forbidden', retryAfterMs: 9 },
    { kind: 'refused setup', reason: 'Forbidden' },
  ],
  [later(429, 'TooManyRequests'), wait('device', 'TooManyRequests', 15_000)],
  [later(429, 'TooManyRequests', 7_000), wait('device', 'TooManyRequests', 7_000)],
  [later(429, 'TooManyProviderTokenUpdates'), wait('all', 'TooManyProviderTokenUpdates', 20 * 60_000)],
  [later(503, 'ServiceUnavailable'), wait('push', 'ServiceUnavailable')],
  [later(503, 'Shutdown', 30_000), wait('push', 'Shutdown', 30_000)],
  [later(502, ''), wait('push', '')],
]

for (const [answer, verdict] of OTHERS) {
  test(`${JSON.stringify(answer)} means ${verdict.kind}`, () => {
    assert.deepEqual(verdictOf(answer, NOW), verdict)
  })
}

function gone(changes: { reason?: string; timestamp?: number }): Answer {
  return { status: 410, reason: 'Unregistered', ...changes }
}

function later(status: number, reason: string, retryAfterMs?: number): Answer {
  return { status, reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
}

function wait(whom: 'device' | 'push' | 'all', reason: string, afterMs?: number): Verdict {
  return { kind: `later ${whom}`, reason, ...(afterMs === undefined ? {} : { afterMs }) }
}
