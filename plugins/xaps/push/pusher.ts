/** The push side of one process: event → devices → coalesced pushes → Apple → verdicts → store. */

import type { Endpoint } from '../apns/client.ts'
import type { Credentials } from '../apns/credentials.ts'
import type { PushSettings } from '../apns/payload.ts'
import { Transport } from '../apns/transport.ts'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { within } from '../base/deadline.ts'
import type { Log } from '../base/log.ts'
import type { Device } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import type { MailEvent } from '../event.ts'
import type { Observer } from '../observe/observer.ts'
import type { Journal } from './journal.ts'
import { Lookup } from './lookup.ts'
import { Sender, type SenderSettings } from './sender.ts'
import { Settler, type Target } from './settle.ts'

/** A process may be killed while others start, and may have no successor. */
const TAKE_OVER_EVERY_MS = 3_000

export interface PusherParts {
  readonly store: Pick<DeviceStore, 'devices' | 'update' | 'claim' | 'onReady'>
  /** The first ones. */
  readonly credentials: Credentials
  readonly observer: Observer
  /** Keeps pending users for the process that comes next. */
  readonly journal: Journal
  readonly log: Log
}

export class Pusher {
  readonly #clock: Clock
  readonly #transport: Transport
  readonly #settler: Settler
  readonly #sender: Sender
  readonly #lookup: Lookup
  readonly #journal: Journal
  #takingOver: Timer | undefined

  /** `settings` are read when they are needed, and may change: settingsChanged() is to be called then. */
  constructor(
    settings: SenderSettings & Endpoint & PushSettings,
    parts: PusherParts,
    clock: Clock = systemClock,
  ) {
    const { store, credentials, observer, journal, log } = parts
    this.#clock = clock
    this.#transport = new Transport(credentials, settings, log, clock)
    this.#settler = new Settler(store, log, clock)
    const sending = { transport: this.#transport, store, settler: this.#settler, observer, journal, log }
    this.#sender = new Sender(settings, sending, clock)
    const found = (target: Target, event: MailEvent) => this.#sender.add(target, event)
    this.#lookup = new Lookup(store, { found, observer, journal }, settings, log, clock)
    this.#journal = journal
    store.onReady(() => this.#lookup.storeIsBack())
  }

  /** The credentials in use. */
  get credentials(): Credentials {
    return this.#transport.credentials
  }

  /** How many devices wait for a push. */
  get pending(): number {
    return this.#sender.pending
  }

  /** Connects to Apple ahead of the first push. */
  warmUp(): void {
    this.#transport.connect()
  }

  /** From now on makes the pushes that were pending in processes that have ended. */
  takeOver(): void {
    this.#journal.takeOver(left => this.#lookup.resume(left))
    this.#takingOver = this.#clock.after(TAKE_OVER_EVERY_MS, () => this.takeOver())
  }

  /** An event, with its user's devices where they are known. Never throws, never waits. */
  submit(event: MailEvent, devices?: readonly Device[]): void {
    this.#lookup.submit(event, devices)
  }

  /** The settings are other ones. Those of the endpoint need renew() besides. */
  settingsChanged(): void {
    this.#sender.settingsChanged()
  }

  /** Uses these credentials, and the endpoint as it is set, from now on. */
  renew(credentials: Credentials): void {
    this.#settler.credentialsRenewed()
    this.#transport.renew(credentials)
    this.#sender.retryNow()
  }

  /** Pushes all that is pending, for `graceMs` at most, and closes the connection. */
  async close(graceMs: number): Promise<void> {
    const end = this.#clock.now() + graceMs
    const left = (): number => Math.max(0, end - this.#clock.now())
    // When the time is over, devices that are not known or not pushed by then are let go.
    const inTime = (work: Promise<void>): Promise<void> =>
      within(work, left(), 'pushing all that is pending', this.#clock).catch(() => undefined)
    this.#takingOver?.cancel()
    this.#sender.hurry()
    await inTime(this.#lookup.settled())
    await inTime(this.#sender.drain())
    this.#lookup.close()
    this.#sender.close()
    this.#journal.close()
    await this.#transport.close(left())
  }
}
