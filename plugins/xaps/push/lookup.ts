/**
 * An event names a user; a push needs devices. One lookup per event, and while the store does not answer one
 * entry per user that waits until it does. Knows nothing of how or when the devices are pushed.
 */

import { type Clock, systemClock, type Timer } from '../clock.ts'
import type { Device } from '../device/device.ts'
import type { MailEvent } from '../event.ts'
import { type Log, reasonOf } from '../log.ts'
import { type Backoff, backoffMs } from './backoff.ts'

const STORE_BACKOFF: Backoff = { firstMs: 500, lastMs: 15_000 }

export interface LookupParts {
  readonly devices: (user: string) => Promise<readonly Device[]>
  /** Called for every device of the event's user. */
  readonly found: (user: string, device: Device, event: MailEvent) => void
  readonly log: Log
}

export class Lookup {
  readonly #parts: LookupParts
  readonly #keepForMs: number
  readonly #clock: Clock
  /** While the store is away: the newest event of each user, as urgent as the most urgent. */
  readonly #waiting = new Map<string, MailEvent>()
  /** How often the store has failed in a row; while it is away nothing but one probe at a time goes to it. */
  #failures = 0
  #timer: Timer | undefined
  #underWay = 0
  #idle: (() => void)[] = []

  constructor(parts: LookupParts, keepForMs: number, clock: Clock = systemClock) {
    this.#parts = parts
    this.#keepForMs = keepForMs
    this.#clock = clock
  }

  /** Never throws and returns at once; while the store is away the event is only noted. */
  submit(event: MailEvent): void {
    if (this.#failures > 0) this.#note(event)
    else this.#start(event)
  }

  /** Resolves when every lookup that was started is over. */
  async settled(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>(resolve => this.#idle.push(resolve))
  }

  close(): void {
    this.#timer?.cancel()
  }

  #start(event: MailEvent): void {
    this.#underWay += 1
    void this.#look(event)
  }

  /** Never rejects. */
  async #look(event: MailEvent): Promise<void> {
    try {
      const devices = await this.#parts.devices(event.user)
      if (this.#failures > 0) this.#storeIsBack()
      for (const device of devices) this.#parts.found(event.user, device, event)
    } catch (error) {
      this.#note(event)
      this.#storeIsAway(error)
    } finally {
      this.#underWay -= 1
      if (this.#underWay === 0) for (const resolve of this.#idle.splice(0)) resolve()
    }
  }

  #note(event: MailEvent): void {
    const known = this.#waiting.get(event.user)
    const kind = known?.kind === 'new' ? 'new' : event.kind
    this.#waiting.set(event.user, { ...event, kind, at: Math.max(event.at, known?.at ?? 0) })
  }

  #storeIsAway(error: unknown): void {
    if (this.#timer) return
    this.#failures += 1
    if (this.#failures === 1) {
      this.#parts.log.warn('the device store does not answer; pushes wait for it', { cause: reasonOf(error) })
    }
    this.#timer = this.#clock.after(backoffMs(this.#failures, STORE_BACKOFF), () => this.#probe())
  }

  #storeIsBack(): void {
    this.#failures = 0
    this.#parts.log.notice('the device store answers again', { users_waiting: this.#waiting.size })
    const events = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const event of events) this.#start(event)
  }

  /** Asks for one of the users that wait; what is older than `keep_for` is no longer asked for. */
  #probe(): void {
    this.#timer = undefined
    for (const [user, event] of this.#waiting) {
      this.#waiting.delete(user)
      if (this.#clock.now() - event.at <= this.#keepForMs) return this.#start(event)
    }
    this.#failures = 0
  }
}
