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
import type { DeliveryEvent, Fate } from './exporter-event.ts'

/** How long the end of a delivery waits for what Sieve says of it, in milliseconds. */
export const SIEVE_SPEAKS_WITHIN_MS = 1_000

/** How long a delivery is remembered. Its events are neighbours, and an HTTP client repeats a request within seconds. */
const REMEMBERED_MS = 60_000

/** Deliveries that are remembered, and that wait; users whose last event is known. */
const MOST = 10_000

const LAST_EVENT_KEPT_MS = 86_400_000

/** What an orderly end gives to Dovecot's userdb, in milliseconds. */
const CLOSE_MS = 250

/** The last event of a user. */
export interface LastEvent {
  readonly name: DeliveryEvent['name']
  readonly fate: Fate
  /** Milliseconds since the epoch. */
  readonly at: number
}

export interface DeliveriesOptions {
  readonly lowercase: boolean
}

export interface DeliveriesParts {
  /** A mail is in INBOX of this user (canonical) since `at`. */
  readonly newMail: (user: string, at: number) => unknown
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
  readonly #lastEvents: TtlCache<LastEvent>
  #nameless = 0

  constructor(options: DeliveriesOptions, parts: DeliveriesParts, clock: Clock) {
    this.#options = options
    this.#parts = parts
    this.#clock = clock
    this.#decided = new TtlCache(MOST, clock)
    this.#lastEvents = new TtlCache(MOST, clock)
  }

  /** The last event of a user (canonical) of which something came; bounded in number and to a day. */
  lastEventOf(user: string): LastEvent | undefined {
    return this.#lastEvents.get(user)
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
  #hearSieve(delivery: string, { name, user: sent, fate }: DeliveryEvent): void {
    this.#forget(delivery)
    const before = this.#decided.get(delivery)
    if (before === 'new') return
    this.#decided.set(delivery, fate === 'inbox' ? 'new' : 'decided', REMEMBERED_MS)
    this.#conclude(canonicalUser(sent, this.#options), { name, fate, at: this.#clock.now() })
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
    const { name, fate, at } = waiting
    this.#decided.set(delivery, fate === 'delivered' ? 'new' : 'decided', REMEMBERED_MS)
    const user = await this.#parts.userOf(waiting.user)
    if (user !== undefined) this.#conclude(user, { name, fate, at })
  }

  #conclude(user: string, last: LastEvent): void {
    this.#lastEvents.set(user, last, LAST_EVENT_KEPT_MS)
    if (last.fate === 'inbox' || last.fate === 'delivered') this.#parts.newMail(user, last.at)
  }

  #forget(delivery: string): void {
    this.#waiting.get(delivery)?.timer.cancel()
    this.#waiting.delete(delivery)
  }
}
