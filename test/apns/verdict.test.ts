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
  BadEnvironmentKeyIdInToken: 'setup',
  ExpiredProviderToken: 'all later',
  Forbidden: 'setup',
  InvalidProviderToken: 'setup',
  MissingProviderToken: 'setup',
  UnrelatedKeyIdInToken: 'setup',
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

const OTHERS: readonly { readonly answer: Answer; readonly verdict: Verdict }[] = [
  { answer: { status: 200, reason: '' }, verdict: { kind: 'sent' } },
  { answer: gone({ timestamp: 123 }), verdict: { kind: 'gone', since: 123 } },
  { answer: gone({}), verdict: { kind: 'gone', since: NOW } },
  { answer: gone({ timestamp: NOW + 3_600_000 }), verdict: { kind: 'gone', since: NOW } },
  { answer: gone({ reason: 'ANewReason', timestamp: 123 }), verdict: { kind: 'gone', since: 123 } },
  { answer: { status: 400, reason: 'New' }, verdict: { kind: 'refused', reason: 'New', fault: 'setup' } },
  { answer: { status: 418, reason: '' }, verdict: { kind: 'refused', reason: '', fault: 'setup' } },
  { answer: { unusable: 'ended' }, verdict: { kind: 'refused', reason: 'ended', fault: 'setup' } },
  { answer: later(429, 'TooManyRequests'), verdict: wait('device', 'TooManyRequests', 15_000) },
  { answer: later(429, 'TooManyRequests', 7_000), verdict: wait('device', 'TooManyRequests', 7_000) },
  {
    answer: later(429, 'TooManyProviderTokenUpdates'),
    verdict: wait('all', 'TooManyProviderTokenUpdates', 20 * 60_000),
  },
  { answer: later(503, 'ServiceUnavailable'), verdict: wait('push', 'ServiceUnavailable') },
  { answer: later(503, 'Shutdown', 30_000), verdict: wait('push', 'Shutdown', 30_000) },
  { answer: later(502, ''), verdict: wait('push', '') },
  { answer: { fault: 'reset', of: 'stream' }, verdict: { kind: 'broken', reason: 'reset', of: 'stream' } },
  {
    answer: { fault: 'reset', of: 'connection' },
    verdict: { kind: 'broken', reason: 'reset', of: 'connection' },
  },
]

for (const { answer, verdict } of OTHERS) {
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
  return { kind: 'later', whom, reason, ...(afterMs === undefined ? {} : { afterMs }) }
}
