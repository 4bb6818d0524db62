/** Confirmed deliveries → pushes, in a process of Haraka's that delivers. Opens store and Apple when they are needed. */

import { type Log, reasonOf } from '../base/log.ts'
import type { DeviceStore } from '../device/store.ts'
import type { Pusher } from '../push/pusher.ts'
import type { DeliverySide } from '../service.ts'
import { deferDeviceStore, GRACE_MS, openDeliverySide, openPushSide } from '../service.ts'
import type { Settings } from './settings.ts'
import type { Address, Mode, Plugin } from './types.ts'

/** A mail that is in the mailboxes of `recipients` since `at` (ms since the epoch). */
export interface Delivery {
  readonly recipients: readonly Address[]
  readonly mode: Mode
  readonly at: number
}

export class Deliveries {
  readonly #log: Log
  readonly #store: DeviceStore
  readonly #delivery: DeliverySide
  readonly #push: Pusher
  #closed = false

  constructor({ config, credentials }: Settings, haraka: Plugin['config'], log: Log) {
    this.#log = log
    this.#store = deferDeviceStore(config, log)
    this.#delivery = openDeliverySide(config, haraka, log)
    this.#push = openPushSide(config, credentials, this.#store, log)
  }

  /** Connects to store and Apple before the first mail has to wait for them, which costs it a quarter of a second. */
  warmUp(): void {
    this.#push.warmUp()
    this.#store
      .warnings()
      .catch((error: unknown) =>
        this.#log.error('the device store cannot be opened; trying again', { cause: reasonOf(error) }),
      )
  }

  /** Pushes to the users behind the recipients. Returns at once. */
  take({ recipients, mode, at }: Delivery): void {
    this.#delivery
      .usersOf(recipients, mode)
      .then(users => this.#submit(users, at))
      .catch((error: unknown) =>
        this.#log.error('recipients could not be resolved', { cause: reasonOf(error) }),
      )
  }

  #submit(users: readonly string[], at: number): void {
    if (this.#closed) return
    for (const user of users) this.#push.submit({ user, kind: 'new', at })
  }

  /** Sends what is pending, for a bounded time. */
  async close(): Promise<void> {
    this.#closed = true
    this.#delivery.close()
    await this.#push.close(GRACE_MS)
    await this.#store.close()
  }
}
