/** What the tests of the push side share: devices, settings, an Apple without a network. */

import type { PushSettings } from '../../plugins/xaps/apns/payload.ts'
import type { Verdict } from '../../plugins/xaps/apns/verdict.ts'
import type { Device } from '../../plugins/xaps/device/device.ts'
import type { SenderSettings } from '../../plugins/xaps/push/sender.ts'
import type { Target } from '../../plugins/xaps/push/settle.ts'
import type { FakeClock } from '../support/fake-clock.ts'

export const TOPIC = 'com.apple.mail.XServer.test'

export const SETTINGS: SenderSettings & PushSettings = {
  windowMs: 5_000,
  changeDelayMs: 30_000,
  keepForMs: 86_400_000,
  maxInFlight: 500,
  priority: '5',
  expirationMs: 86_400_000,
  collapseId: false,
}

export const OK: Verdict = { kind: 'sent', reason: '' }

/** The token of the device with this number; zeros alone are no phone's. */
export function tokenOf(number: number): string {
  return number.toString(16).padStart(64, number === 0 ? 'f' : '0')
}

export function deviceOf(number: number, changes: Partial<Device> = {}): Device {
  return {
    account: `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`,
    token: tokenOf(number),
    mailboxes: ['INBOX'],
    subtopic: 'com.apple.mobilemail',
    topic: TOPIC,
    registeredAt: 1_000,
    lastSeen: 2_000,
    ...changes,
  }
}

export function targetOf(number: number, changes: Partial<Device> = {}): Target {
  return { user: `user${number}@example.org`, device: deviceOf(number, changes) }
}

/** One push that reached Apple. */
export interface Arrival {
  readonly at: number
  readonly token: string
  readonly verdict: Verdict
}

/** An Apple that judges each push as `answer` says, `latencyMs` later. */
export class StubApple {
  /** Every push, in the order of the answers. */
  readonly arrivals: Arrival[] = []
  answer: (device: Device) => Verdict = () => OK
  mayPush: (device: Device) => boolean = () => true
  latencyMs = 0
  inFlight = 0
  mostInFlight = 0
  readonly #clock: FakeClock

  constructor(clock: FakeClock) {
    this.#clock = clock
  }

  async push(device: Device): Promise<Verdict> {
    const at = this.#clock.now()
    this.inFlight += 1
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight)
    if (this.latencyMs > 0) await this.#clock.sleep(this.latencyMs)
    const verdict = this.answer(device)
    this.inFlight -= 1
    this.arrivals.push({ at, token: device.token, verdict })
    return verdict
  }

  /** When the pushes that Apple accepted started, of the device with this number or of all. */
  accepted(device?: number): number[] {
    return this.arrivals
      .filter(
        ({ token, verdict }) =>
          verdict.kind === 'sent' && (device === undefined || token === tokenOf(device)),
      )
      .map(({ at }) => at)
  }
}
