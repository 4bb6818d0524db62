/**
 * May a device be pushed now? The shared store is asked, and this process's own pushes of the last window before it:
 * they answer for less than the store, and where it cannot be asked they keep the window for this process alone. Then
 * a push of another process may be repeated: one too many costs a fetch, one too few costs the mail its notice.
 */

import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { TransitionLog } from '../base/transition-log.ts'
import { LastClaims } from '../device/claim.ts'
import type { Claim, ClaimRequest } from '../device/store.ts'
import type { Entry } from './coalesce.ts'

/** The claims for one device, until a push gets through. */
type ClaimState = Pick<Entry<unknown>, 'key' | 'held' | 'unsure'>

export class Claiming {
  readonly #claim: (push: string, request: ClaimRequest) => Promise<Claim>
  readonly #log: Log
  readonly #clock: Clock
  readonly #transitions: TransitionLog
  /** When this process's pushes started. */
  readonly #own = new LastClaims(0)

  constructor(
    claim: (push: string, request: ClaimRequest) => Promise<Claim>,
    log: Log,
    clock: Clock = systemClock,
  ) {
    this.#claim = claim
    this.#log = log
    this.#clock = clock
    this.#transitions = new TransitionLog('asked', clock)
  }

  /** Claims a push for events the newest of which came in at `newest` (ms since the epoch). Never rejects. */
  ask(state: ClaimState, newest: number, windowMs: number): Claim | Promise<Claim> {
    const now = this.#clock.now()
    const request = { ageMs: now - newest, windowMs }
    const own = this.#own.ask(state.key, now, request)
    return own.kind === 'granted' ? this.#askStore(state, request) : own
  }

  /** Whether a push of this process's has covered an event for `key` at `at` (ms since the epoch). */
  covers(key: string, at: number): boolean {
    const now = this.#clock.now()
    return this.#own.ask(key, now, { ageMs: now - at, windowMs: 0 }).kind === 'covered'
  }

  /** A push of `key` that started at `startedAt` is over for good. */
  pushed(key: string, startedAt: number, windowMs: number): void {
    this.#own.record(key, startedAt, windowMs)
  }

  /** Writes no line any more. */
  close(): void {
    this.#transitions.close()
  }

  async #askStore(state: ClaimState, request: ClaimRequest): Promise<Claim> {
    const { key, held } = state
    try {
      const claim = await this.#claim(key, held === undefined ? request : { ...request, held })
      this.#transitions.to('asked', counted =>
        this.#log.notice('the device store is asked before each push again', counted),
      )
      if (claim.kind === 'granted') state.held = claim.id
      return claim.kind === 'covered' && state.unsure ? allowed(state) : claim
    } catch (error) {
      this.#sayAway(reasonOf(error))
      state.unsure = true
      return allowed(state)
    }
  }

  #sayAway(cause: string): void {
    this.#transitions.to('away', counted =>
      this.#log.warn('the device store does not answer; pushing without asking other processes', {
        cause,
        ...counted,
      }),
    )
  }
}

/** Allowed without the store's word; a claim that is held stays the one to name next time. */
function allowed({ held }: ClaimState): Claim {
  return { kind: 'granted', id: held ?? 0 }
}
