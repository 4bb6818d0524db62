/**
 * Whether store and spool take registrations. Failures of one user alone are that user's own matter (a phone that registers
 * all day, a full share of the spool): a place is away when registrations of two users have failed there since the last
 * success of any. Says changes in the log. Knows neither place.
 */

import { type Clock, systemClock } from '../base/clock.ts'
import { type Level, type Log, maskUser, reasonOf } from '../base/log.ts'
import { onceAMinute, TransitionLog } from '../base/transition-log.ts'

export type Place = 'store' | 'spool'

/** So many users fail together by no fault of their own. */
const USERS = 2

/** How often a request may try a place that is away, in milliseconds: LMDB itself writes lines about each failure. */
const PROBE_EVERY_MS = 1_000

interface Failures {
  /** Users that have failed since the last success, as many as are needed. */
  readonly users: Set<string>
  /** Of the last failure. */
  reason: string
}

/** Which place takes registrations now. */
type State = Place | 'nowhere'

const LINES: Readonly<Record<State, readonly [Level, string]>> = {
  store: ['notice', 'registrations are saved in the store again'],
  spool: ['warn', 'the store does not take registrations, they wait in the spool'],
  nowhere: ['error', 'registrations are refused: neither store nor spool takes them'],
}

export class Outages {
  readonly #log: Log
  readonly #clock: Clock
  readonly #isNew: (cause: string) => boolean
  readonly #transitions: TransitionLog
  readonly #failures: Readonly<Record<Place, Failures>> = {
    store: { users: new Set(), reason: '' },
    spool: { users: new Set(), reason: '' },
  }
  #probedAt = Number.NEGATIVE_INFINITY

  constructor(log: Log, clock: Clock = systemClock) {
    this.#log = log
    this.#clock = clock
    this.#isNew = onceAMinute(clock)
    this.#transitions = new TransitionLog('store', clock)
  }

  /** Whether `place` takes no registrations. */
  isAway(place: Place): boolean {
    return this.#failures[place].users.size >= USERS
  }

  /** Whether a request may try the store although it is away. A yes counts. */
  mayProbeStore(): boolean {
    const ms = this.#clock.now() - this.#probedAt
    if (ms >= 0 && ms < PROBE_EVERY_MS) return false
    this.#probedAt = this.#clock.now()
    return true
  }

  /** Settles as `work` does, which keeps a registration of `user` in `place`, and takes note of how that went. */
  watch<T>(place: Place, user: string, work: Promise<T>): Promise<T> {
    const { users } = this.#failures[place]
    return work.then(
      result => {
        if (users.size > 0) {
          users.clear()
          this.#report()
        }
        return result
      },
      error => {
        if (!this.isAway(place)) users.add(user)
        this.#failures[place].reason = reasonOf(error)
        this.#report()
        throw error
      },
    )
  }

  /** `user` alone has a registration in the spool. */
  sayOneWaits(user: string): void {
    if (this.isAway('store') || !this.#isNew('one waits')) return
    this.#log.warn('the store did not take a registration, it waits in the spool', {
      user: maskUser(user),
      reason: this.#failures.store.reason,
    })
  }

  /** Writes no line any more. */
  close(): void {
    this.#transitions.close()
  }

  /** One line when another place takes registrations than before. */
  #report(): void {
    const { store, spool } = this.#failures
    const state: State = !this.isAway('store') ? 'store' : this.isAway('spool') ? 'nowhere' : 'spool'
    const [level, message] = LINES[state]
    const fields = { store: {}, spool: { reason: store.reason }, nowhere: { reason: spool.reason } }[state]
    this.#transitions.to(state, counted => this.#log[level](message, { ...fields, ...counted }))
  }
}
