/**
 * May a device be pushed now? The shared store is asked, and this process's own pushes of the last window before it:
 * they answer for less than the store, and where it cannot be asked they keep the window for this process alone. Then
 * a push of another process may be repeated: one too many costs a fetch, one too few costs the mail its notice.
 */

import type { Clock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { TransitionLog } from '../base/transition-log.ts'
import { LastClaims } from '../device/claim.ts'
import type { Claim, ClaimRequest, DeviceStore } from '../device/store.ts'
import type { Entry } from './coalesce.ts'

/** Leave without the store's word. */
const ALLOWED: Claim = { kind: 'granted', id: 0 }

export class Claiming {
  readonly #store: Pick<DeviceStore, 'claim'>
  readonly #log: Log
  readonly #clock: Clock
  readonly #transitions: TransitionLog
  /** When this process's pushes started. */
  readonly #own = new LastClaims(0)

  constructor(store: Pick<DeviceStore, 'claim'>, log: Log, clock: Clock) {
    this.#store = store
    this.#log = log
    this.#clock = clock
    this.#transitions = new TransitionLog('asked', clock)
  }

  /** Claims a push for events the newest of which came in at `newest` (ms since the epoch). Never rejects. */
  ask(entry: Entry, newest: number, windowMs: number): Claim | Promise<Claim> {
    const now = this.#clock.now()
    const request = { ageMs: now - newest, windowMs }
    const own = this.#own.ask(entry.key, now, request)
    // Nothing that came after a push of its own is covered by it: where it looks so, the clock was set back.
    return own.kind === 'wait' ? own : this.#askStore(entry, request)
  }

  /** Whether a push of this process's has covered an event for `key` at `at` (ms since the epoch). */
  covers(key: string, at: number): boolean {
    const last = this.#own.last(key)
    // A later one than now is of a clock that was set back since, and shows nothing.
    return last !== undefined && last >= at && last <= this.#clock.now()
  }

  /** A push of `key` that started at `startedAt` is over for good. */
  pushed(key: string, startedAt: number, windowMs: number): void {
    this.#own.record(key, startedAt, windowMs)
  }

  /** Writes no line any more. */
  close(): void {
    this.#transitions.close()
  }

  async #askStore(entry: Entry, request: ClaimRequest): Promise<Claim> {
    const { key, held } = entry
    try {
      const claim = await this.#store.claim(key, held === undefined ? request : { ...request, held })
      this.#transitions.to('asked', counted =>
        this.#log.notice('the device store is asked before each push again', counted),
      )
      if (claim.kind === 'granted') entry.held = claim.id
      return claim.kind === 'covered' && entry.unsure ? ALLOWED : claim
    } catch (error) {
      const cause = reasonOf(error)
      this.#transitions.to('away', counted =>
        this.#log.warn('the device store does not answer; pushing without asking other processes', {
          cause,
          ...counted,
        }),
      )
      entry.unsure = true
      return ALLOWED
    }
  }
}
