/** A transport to an Apple stand-in of its own. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Endpoint } from '../../plugins/xaps/apns/client.ts'
import type { Credentials } from '../../plugins/xaps/apns/credentials.ts'
import type { PushSettings } from '../../plugins/xaps/apns/payload.ts'
import { Transport } from '../../plugins/xaps/apns/transport.ts'
import type { Verdict } from '../../plugins/xaps/apns/verdict.ts'
import { type Clock, systemClock } from '../../plugins/xaps/base/clock.ts'
import type { Device } from '../../plugins/xaps/device/device.ts'
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
  /** Pushes to the device with this number. */
  send(device: number): Promise<Verdict>
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
  return { apple, transport, send: async number => unnamed(await transport.push(mailDevice(number))) }
}

/** The verdict without Apple's name for the push, which an accepted one must have. */
function unnamed({ id, ...verdict }: Verdict): Verdict {
  if (verdict.kind === 'sent') assert.match(id ?? '', /^[0-9a-f]{8}-[0-9a-f-]{27}$/)
  return verdict
}

export function certificateFor({ ca }: Pick<Apple, 'ca'>, { certificate: cert, key } = pair): Credentials {
  return { auth: { kind: 'certificate', cert, key }, topic: MAIL_TOPIC, topics: [MAIL_TOPIC], ca }
}

export function tokenFor({ ca }: Apple, { p8: key, keyId, teamId }: ProviderKey): Credentials {
  return { auth: { kind: 'token', key, keyId, teamId }, topic: MAIL_TOPIC, topics: [MAIL_TOPIC], ca }
}

export function endpointOf({ host, port }: Pick<Apple, 'host' | 'port'>): Endpoint & PushSettings {
  return { ...SETTINGS, host, port, environment: 'production', requestTimeoutMs: TIMEOUT_MS }
}

/** The device with this number, which listens to the topic of the certificate. */
export function mailDevice(number: number): Device {
  return deviceOf(number, { topic: MAIL_TOPIC })
}

export function sendMany({ send }: Bench, count: number, from = 0): Promise<Verdict[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => send(from + index)))
}

/** Asserts that so many pushes all have come to `kind`. */
export function assertAll(verdicts: readonly Verdict[], count: number, kind: Verdict['kind']): void {
  assert.deepEqual(
    verdicts.map(verdict => verdict.kind),
    Array(count).fill(kind),
  )
}
