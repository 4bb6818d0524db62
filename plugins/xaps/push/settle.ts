/**
 * What a verdict changes in the device store, and whether a token may be blamed for it. The store's own faults are
 * logged: the next push asks again.
 */

import type { Verdict } from '../apns/verdict.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, maskToken, maskUser, reasonOf } from '../base/log.ts'
import { onceAMinute } from '../base/transition-log.ts'
import { type Device, sameDevice } from '../device/device.ts'
import { removeGone } from '../device/record.ts'
import type { DeviceStore } from '../device/store.ts'
import { consequenceOf } from './consequences.ts'

/** For how long an accepted push shows that credentials and environment are right. */
const ACCEPTED_LATELY_MS = 3_600_000

/** A device, and the user whose record holds it. */
export interface Target {
  readonly user: string
  readonly device: Device
}

/** The target as the log may show it. */
export function masked({ user, device }: Target): { user: string; token: string } {
  return { user: maskUser(user), token: maskToken(device.token) }
}

export class Settler {
  readonly #store: Pick<DeviceStore, 'update'>
  readonly #log: Log
  readonly #clock: Clock
  #acceptedAt = Number.NEGATIVE_INFINITY
  #renewedAt = Number.NEGATIVE_INFINITY
  #warned = false
  readonly #firstInMinute: (cause: string) => boolean

  constructor(store: Pick<DeviceStore, 'update'>, log: Log, clock: Clock = systemClock) {
    this.#store = store
    this.#log = log
    this.#clock = clock
    this.#firstInMinute = onceAMinute(clock)
  }

  /**
   * Settles the verdict on a push that started at `startedAt` (ms since the epoch). Never rejects; undefined where
   * there is nothing to wait for.
   */
  settle(target: Target, verdict: Verdict, startedAt: number): Promise<void> | undefined {
    // A push from before a renewal shows nothing of the new credentials.
    if (verdict.kind === 'sent' && startedAt > this.#renewedAt) this.#acceptedAt = this.#clock.now()
    const { store } = consequenceOf(verdict)
    if (store === 'keep' || (store === 'removeIfOthersAccepted' && !this.#othersAccepted())) return undefined
    return this.#remove(target, verdict)
  }

  /** Other credentials are in use: pushes that were accepted before count no longer. */
  credentialsRenewed(): void {
    this.#renewedAt = this.#clock.now()
    this.#acceptedAt = Number.NEGATIVE_INFINITY
  }

  /** With the credentials of the wrong environment every token is "bad": an alarm, once, and no device is removed. */
  #othersAccepted(): boolean {
    const others = this.#clock.now() - this.#acceptedAt < ACCEPTED_LATELY_MS
    if (!others && !this.#warned) {
      this.#log.warn(
        'Apple calls a device token bad and has accepted no other lately: is [apns] environment right?',
      )
    }
    this.#warned = !others
    return others
  }

  async #remove(target: Target, { reason, since }: Verdict): Promise<void> {
    const { user, device } = target
    const fields = { ...masked(target), reason }
    try {
      const at = since ?? device.lastSeen
      const { devices } = await this.#store.update(user, before => removeGone(before, device, at))
      if (devices.some(other => sameDevice(other, device))) {
        this.#log.info('Apple reported a device gone that has registered again since', fields)
      } else this.#log.info('device removed: Apple reports it gone', fields)
    } catch (error) {
      const cause = reasonOf(error)
      if (this.#firstInMinute(cause))
        this.#log.warn('a device that Apple reports gone could not be removed', { ...masked(target), cause })
    }
  }
}
