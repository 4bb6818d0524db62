/**
 * Whether store and spool take registrations. What fails for one user is that user's own matter (a phone that registers
 * all day, a full share of the spool): a place is away when those of two users have failed there since the last
 * success of any. Says changes in the log. Knows neither place.
 */

import { type Clock, systemClock } from '../base/clock.ts'
import { type Fields, type Level, type Log, maskUser, reasonOf } from '../base/log.ts'
import { onceAMinute, TransitionLog } from '../base/transition-log.ts'

export type Place = 'store' | 'spool'

/** So many users fail together by no fault of their own. */
const USERS = 2

/** How often a request may try a place that is away, in milliseconds: LMDB itself writes lines about each failure. */
const PROBE_EVERY_MS = 1_000

/** The users who have failed since the last success, as many as are needed, and the last reason. */
class Failures {
  readonly #users = new Set<string>()
  reason = ''

  get away(): boolean {
    return this.#users.size >= USERS
  }

  add(user: string, reason: string): void {
    if (!this.away) this.#users.add(user)
    this.reason = reason
  }

  clear(): void {
    this.#users.clear()
  }
}

export class Outages {
  readonly #log: Log
  readonly #clock: Clock
  readonly #isNew: (cause: string) => boolean
  readonly #transitions: TransitionLog
  readonly #failures: Readonly<Record<Place, Failures>> = { store: new Failures(), spool: new Failures() }
  #probedAt = Number.NEGATIVE_INFINITY

  constructor(log: Log, clock: Clock = systemClock) {
    this.#log = log
    this.#clock = clock
    this.#isNew = onceAMinute(clock)
    this.#transitions = new TransitionLog('store', clock)
  }

  /** Whether `place` takes no registrations. */
  isAway(place: Place): boolean {
    return this.#failures[place].away
  }

  /** Whether a request may try the store although it is away. A yes counts. */
  mayProbeStore(): boolean {
    const ms = this.#clock.now() - this.#probedAt
    if (ms >= 0 && ms < PROBE_EVERY_MS) return false
    this.#probedAt = this.#clock.now()
    return true
  }

  /** Settles as `work` does, which keeps a registration of `user` in `place`, and takes note of how that went. */
  async watch<T>(place: Place, user: string, work: Promise<T>): Promise<T> {
    try {
      const result = await work
      this.#failures[place].clear()
      this.#report()
      return result
    } catch (error) {
      this.#failures[place].add(user, reasonOf(error))
      this.#report()
      throw error
    }
  }

  /** `user` alone has a registration in the spool. */
  sayOneWaits(user: string): void {
    const { reason, away } = this.#failures.store
    if (away || !this.#isNew('one waits')) return
    this.#log.warn('the store did not take a registration, it waits in the spool', {
      user: maskUser(user),
      reason,
    })
  }

  /** Writes no line any more. */
  close(): void {
    this.#transitions.close()
  }

  #report(): void {
    const { store, spool } = this.#failures
    if (!store.away) return this.#say('store', 'notice', 'registrations are saved in the store again', {})
    const { reason } = spool.away ? spool : store
    if (spool.away)
      this.#say('nowhere', 'error', 'registrations are refused: neither store nor spool takes them', {
        reason,
      })
    else
      this.#say('spool', 'warn', 'the store does not take registrations, they wait in the spool', { reason })
  }

  /** One line for each `state`, the place that takes registrations now, when it begins. */
  #say(state: Place | 'nowhere', level: Level, message: string, fields: Fields): void {
    this.#transitions.to(state, counted => this.#log[level](message, { ...fields, ...counted }))
  }
}
