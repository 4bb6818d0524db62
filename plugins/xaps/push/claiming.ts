/**
 * Asks the shared store whether a device may be pushed now, and remembers between two tries of a push what was
 * claimed for it. Where the store cannot be asked, it allows: one push too many costs a fetch, one too few costs the
 * mail its notice.
 */

import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { TransitionLog } from '../base/transition-log.ts'
import type { Claim, ClaimRequest } from '../device/store.ts'
import type { Entry } from './coalesce.ts'

/** What is remembered of the claims for one device, until a push gets through. */
type Claimant = Pick<Entry<unknown>, 'key' | 'held' | 'unsure'>

export class Claiming {
  readonly #claim: (push: string, request: ClaimRequest) => Promise<Claim>
  readonly #log: Log
  readonly #clock: Clock
  readonly #transitions: TransitionLog

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
  async ask(claimant: Claimant, newest: number, windowMs: number): Promise<Claim> {
    const { key, held } = claimant
    const request = { ageMs: this.#clock.now() - newest, windowMs }
    try {
      const claim = await this.#claim(key, held === undefined ? request : { ...request, held })
      this.#transitions.to('asked', counted =>
        this.#log.notice('the device store is asked before each push again', counted),
      )
      if (claim.kind === 'granted') claimant.held = claim.id
      return claim.kind === 'covered' && claimant.unsure ? allowed(claimant) : claim
    } catch (error) {
      this.#sayAway(reasonOf(error))
      claimant.unsure = true
      return allowed(claimant)
    }
  }

  /** Writes no line any more. */
  close(): void {
    this.#transitions.close()
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
function allowed({ held }: Claimant): Claim {
  return { kind: 'granted', id: held ?? 0 }
}
