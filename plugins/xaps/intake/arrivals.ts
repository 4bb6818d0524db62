/**
 * Phones that say why they come → when a push has last brought one of a user's, and a warning when pushes bring none. Knows
 * no wire format, no device and no store; what it cannot note in time is let go, since it is only a hint.
 */

import { canonicalUser } from '../base/canonical-names.ts'
import type { Clock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { Queue } from '../base/queue.ts'
import { TtlCache } from '../base/ttl-cache.ts'
import type { Arrival } from './exporter-event.ts'

/** A phone opens several connections; of a user one of each kind counts in this time, in milliseconds. */
const COUNTED_EVERY_MS = 60_000

/** Users whose last arrival is known; arrivals that wait; lookups at a time. */
const MOST_USERS = 10_000
const MOST_WAITING = 1_000
const AT_ONCE = 10

/**
 * How long pushes may bring nobody, in milliseconds: a small site's only phone may be in Low Power Mode or without a network
 * for some hours, and an operator should hear of a broken way on the day it breaks.
 */
export const UNHEARD_FOR_MS = 6 * 3_600_000

/**
 * In how many hours a phone must have come on its own account though its user had just been pushed. One a time is no sign: a
 * phone may be opened just when the push is on its way.
 */
const FEWEST_MISSES = 3
const MISS_COUNTED_EVERY_MS = 3_600_000

const WARNED_EVERY_MS = 86_400_000

export interface ArrivalsParts {
  /** Milliseconds since the last push to a user (canonical); undefined where that was not in the last minutes. */
  readonly lastPush: (user: string) => Promise<number | undefined>
  /** A push brought a phone of this user at `at`, `afterMs` after the last one. */
  readonly came: (user: string, came: { readonly at: number; readonly afterMs?: number }) => Promise<unknown>
}

/** The user's name is canonical here. */
type Seen = Pick<Arrival, 'user' | 'byPush'> & { readonly at: number }

export class Arrivals {
  readonly #options: { readonly lowercase: boolean }
  readonly #parts: ArrivalsParts
  readonly #log: Log
  readonly #clock: Clock
  readonly #counted: TtlCache<true>
  readonly #waiting = new Queue<Seen>()
  #underWay = 0
  #closed = false
  /** Since a push has last brought anybody: how many such hours, and when the first and the last of them began. */
  #misses = 0
  #missesFrom = 0
  #missedAt = Number.NEGATIVE_INFINITY
  #warnedAt = Number.NEGATIVE_INFINITY

  constructor(options: { readonly lowercase: boolean }, parts: ArrivalsParts, log: Log, clock: Clock) {
    this.#options = options
    this.#parts = parts
    this.#log = log
    this.#clock = clock
    this.#counted = new TtlCache(MOST_USERS, clock)
  }

  /** Never throws, never waits. */
  take({ user: sent, byPush }: Arrival): void {
    const user = canonicalUser(sent, this.#options)
    if (byPush) this.#misses = 0
    const kind = `${byPush} ${user}`
    if (this.#closed || this.#counted.get(kind) || this.#waiting.size >= MOST_WAITING) return
    this.#counted.set(kind, true, COUNTED_EVERY_MS)
    this.#waiting.push({ user, byPush, at: this.#clock.now() })
    this.#lookOn()
  }

  /** Takes no more, and lets go of what waits. */
  close(): void {
    this.#closed = true
  }

  #lookOn(): void {
    while (this.#underWay < AT_ONCE && this.#waiting.size > 0 && !this.#closed) {
      const seen = this.#waiting.shift()
      if (seen) void this.#look(seen)
    }
  }

  /** Never rejects. */
  async #look(seen: Seen): Promise<void> {
    this.#underWay += 1
    try {
      await this.#note(seen)
    } catch (error) {
      this.#log.debug('why a phone came is not noted', { reason: reasonOf(error) })
    }
    this.#underWay -= 1
    this.#lookOn()
  }

  async #note({ user, byPush, at }: Seen): Promise<void> {
    const ms = await this.#parts.lastPush(user)
    const afterMs = ms === undefined ? undefined : ms - (this.#clock.now() - at)
    // A push that has been made since brought nobody.
    const isKnown = afterMs !== undefined && afterMs >= 0
    if (byPush) await this.#parts.came(user, isKnown ? { at, afterMs } : { at })
    else if (isKnown) this.#missed(at)
  }

  #missed(at: number): void {
    if (this.#misses > 0 && Math.abs(at - this.#missedAt) < MISS_COUNTED_EVERY_MS) return
    this.#missedAt = at
    if (this.#misses === 0) this.#missesFrom = at
    this.#misses += 1
    const ms = at - this.#missesFrom
    if (this.#misses < FEWEST_MISSES || ms < UNHEARD_FOR_MS) return
    if (Math.abs(at - this.#warnedAt) < WARNED_EVERY_MS) return
    this.#warnedAt = at
    this.#log.warn('users are pushed and come, but for hours no phone has come because of a push', {
      hours: Math.floor(ms / 3_600_000),
    })
  }
}
