/** A transport to an Apple stand-in of its own. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Endpoint } from '../../plugins/xaps/apns/client.ts'
import type { Credentials } from '../../plugins/xaps/apns/credentials.ts'
import { makePush, type Push } from '../../plugins/xaps/apns/payload.ts'
import { Transport } from '../../plugins/xaps/apns/transport.ts'
import type { Answer } from '../../plugins/xaps/apns/verdict.ts'
import { type Clock, systemClock } from '../../plugins/xaps/base/clock.ts'
import { MAIL_TOPIC, pushCertificate } from '../fake/apple/certificates.ts'
import type { ProviderKey } from '../fake/apple/provider-key.ts'
import { type Apple, type AppleOptions, startApple } from '../fake/apple/server.ts'
import { deviceOf, SETTINGS } from '../push/parts.ts'
import { noLog } from '../support/recorded-log.ts'

/** Short, so that what hangs fails soon; long enough for a busy machine. */
export const TIMEOUT_MS = 1_500

export interface Bench {
  readonly apple: Apple
  readonly transport: Transport
  send(device: number): Promise<Answer>
}

export interface BenchOptions extends AppleOptions {
  readonly credentials?: Partial<Credentials>
  readonly endpoint?: Partial<Endpoint>
  /** The clock of the transport. */
  readonly time?: Clock
}

const pair = pushCertificate()

/** A transport to a stand-in of its own; both end with the test. */
export async function bench(t: TestContext, options: BenchOptions = {}): Promise<Bench> {
  const { credentials, endpoint, time = systemClock, ...rest } = options
  const apple = await startApple(rest)
  const transport = new Transport(
    { ...certificateFor(apple), ...credentials },
    { ...endpointOf(apple), ...endpoint },
    noLog,
    time,
  )
  t.after(async () => {
    await transport.close(0)
    await apple.close()
  })
  return { apple, transport, send: device => transport.send(pushTo(device)) }
}

export function certificateFor({ ca }: Pick<Apple, 'ca'>, { certificate: cert, key } = pair): Credentials {
  return { auth: { kind: 'certificate', cert, key }, topic: MAIL_TOPIC, topics: [MAIL_TOPIC], ca }
}

export function tokenFor({ ca }: Apple, { p8: key, keyId, teamId }: ProviderKey): Credentials {
  return { auth: { kind: 'token', key, keyId, teamId }, topic: MAIL_TOPIC, topics: [MAIL_TOPIC], ca }
}

export function endpointOf({ host, port }: Pick<Apple, 'host' | 'port'>): Endpoint {
  return { host, port, environment: 'production', requestTimeoutMs: TIMEOUT_MS }
}

export function pushTo(device: number): Push {
  return makePush(deviceOf(device, { topic: MAIL_TOPIC }), SETTINGS, Date.now())
}

export function sendMany({ send }: Bench, count: number, from = 0): Promise<Answer[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => send(from + index)))
}

export function faultOf(answer: Answer): string {
  assert.ok('fault' in answer, JSON.stringify(answer))
  return answer.of
}
