/**
 * Which deliveries of Dovecot's are new mail in INBOX. Knows no wire format and no device.
 *
 * Sieve's word decides, at once. `mail_delivery_finished` comes for each delivery, also for a mail that Sieve files
 * elsewhere, and before or after what Sieve says (seen: 0.3 to 3.5 ms apart). So it counts only when a second has passed in
 * which Sieve has said nothing of the same delivery: then there is no Sieve, or no script for this user.
 */

import { canonicalUser } from '../base/canonical-names.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { within } from '../base/deadline.ts'
import { TtlCache } from '../base/ttl-cache.ts'
import type { Decision } from '../observe/decisions.ts'
import { type DeliveryEvent, type Fate, sessionOf } from './exporter-event.ts'

/** How long the end of a delivery waits for what Sieve says of it, in milliseconds. */
export const SIEVE_SPEAKS_WITHIN_MS = 1_000

/** How long a delivery is remembered. Its events are neighbours, and an HTTP client repeats a request within seconds. */
const REMEMBERED_MS = 60_000

/** Deliveries that are remembered, and that wait. */
const MOST = 10_000

/** What an orderly end gives to Dovecot's userdb, in milliseconds. */
const CLOSE_MS = 250

/** What becomes of a mail that is not pushed, by what its event says. */
const NOT_PUSHED: Readonly<Record<Exclude<Fate, 'inbox' | 'delivered'>, Decision>> = {
  elsewhere: 'other_folder',
  discarded: 'discarded',
  redirected: 'redirected',
  failed: 'undelivered',
  other: 'no_mail',
}

export interface DeliveriesOptions {
  readonly lowercase: boolean
}

export interface DeliveriesParts {
  /** A mail is in INBOX of this user (canonical) since `at`. `mail` names it, where its event has a session. */
  readonly newMail: (user: string, at: number, mail: string | undefined) => unknown
  /** A mail to this user is not pushed. */
  readonly notPushed: (decision: Decision, user: string, mail: string | undefined) => unknown
  /** The user (canonical) whom an address or name as it was typed stands for; undefined for none. Never rejects. */
  readonly userOf: (name: string) => Promise<string | undefined>
  /** Ends `userOf`. */
  readonly close: () => void
}

interface Waiting extends DeliveryEvent {
  readonly at: number
  readonly timer: Timer
}

export class Deliveries {
  readonly #options: DeliveriesOptions
  readonly #parts: DeliveriesParts
  readonly #clock: Clock
  /** By delivery: `new` when it is pushed, `decided` when Sieve has said something else of it so far. */
  readonly #decided: TtlCache<'new' | 'decided'>
  /** By delivery: its end, which waits for Sieve's word. In their order. */
  readonly #waiting = new Map<string, Waiting>()
  #nameless = 0

  constructor(options: DeliveriesOptions, parts: DeliveriesParts, clock: Clock) {
    this.#options = options
    this.#parts = parts
    this.#clock = clock
    this.#decided = new TtlCache(MOST, clock)
  }

  /** Never throws, never waits. */
  take(event: DeliveryEvent): void {
    // Without a session no two events are known to be of one delivery.
    const delivery = event.delivery ?? `nameless ${this.#nameless++}`
    if (event.name === 'sieve_action_finished') this.#hearSieve(delivery, event)
    else if (this.#decided.get(delivery) === undefined && !this.#waiting.has(delivery))
      this.#wait(delivery, event)
  }

  /** Decides at once what waits. Resolves when that is done, soon. */
  async close(): Promise<void> {
    const left = [...this.#waiting.keys()].map(delivery => this.#decide(delivery))
    // An event is a hint: one whose user is not found by then is let go.
    await within(Promise.all(left), CLOSE_MS, 'userdb', this.#clock).catch(() => undefined)
    this.#parts.close()
  }

  /** A mail may have several actions, in INBOX and elsewhere. */
  #hearSieve(delivery: string, event: DeliveryEvent): void {
    this.#forget(delivery)
    const before = this.#decided.get(delivery)
    if (before === 'new') return
    this.#decided.set(delivery, event.fate === 'inbox' ? 'new' : 'decided', REMEMBERED_MS)
    this.#conclude(canonicalUser(event.user, this.#options), event, this.#clock.now())
  }

  #wait(delivery: string, event: DeliveryEvent): void {
    // After a pause of this process timers run before sockets are read: what has come meanwhile is heard first.
    const decide = () => setImmediate(() => void this.#decide(delivery))
    const timer = this.#clock.after(SIEVE_SPEAKS_WITHIN_MS, decide)
    this.#waiting.set(delivery, { ...event, at: this.#clock.now(), timer })
    const [oldest] = this.#waiting.keys()
    if (this.#waiting.size > MOST && oldest !== undefined) void this.#decide(oldest)
  }

  /** There is no Sieve for this delivery, unless it has said something by now. */
  async #decide(delivery: string): Promise<void> {
    const waiting = this.#waiting.get(delivery)
    if (!waiting) return
    this.#forget(delivery)
    this.#decided.set(delivery, waiting.fate === 'delivered' ? 'new' : 'decided', REMEMBERED_MS)
    const user = await this.#parts.userOf(waiting.user)
    if (user !== undefined) this.#conclude(user, waiting, waiting.at)
  }

  #conclude(user: string, event: DeliveryEvent, at: number): void {
    const { fate } = event
    const mail = sessionOf(event)
    if (fate === 'inbox' || fate === 'delivered') this.#parts.newMail(user, at, mail)
    else this.#parts.notPushed(NOT_PUSHED[fate], user, mail)
  }

  #forget(delivery: string): void {
    this.#waiting.get(delivery)?.timer.cancel()
    this.#waiting.delete(delivery)
  }
}
