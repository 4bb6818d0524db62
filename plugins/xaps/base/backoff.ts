/** Waiting times that double while something goes on failing. */

export interface BackoffLimits {
  readonly firstMs: number
  readonly lastMs: number
}

/** From half a second to a quarter of a minute: to Apple, to the store, for the companion and its listeners. */
export const STANDARD_BACKOFF: BackoffLimits = { firstMs: 500, lastMs: 15_000 }

/** For work that does not race with others. */
export const NO_JITTER = () => 1

/** The wait before attempt `failures` + 1, in milliseconds: between half of and the whole of the doubled time. */
export function backoffMs(
  failures: number,
  { firstMs, lastMs }: BackoffLimits = STANDARD_BACKOFF,
  random: () => number = Math.random,
): number {
  const full = Math.min(lastMs, firstMs * 2 ** Math.min(Math.max(failures - 1, 0), 30))
  return Math.round(full * (0.5 + random() / 2))
}

/** Counts failures in a row. Clients that failed together must not come back together, hence the jitter. */
export class Backoff {
  #failures = 0
  readonly #limits: BackoffLimits
  readonly #random: () => number

  constructor(limits: BackoffLimits = STANDARD_BACKOFF, random: () => number = Math.random) {
    this.#limits = limits
    this.#random = random
  }

  /** Failures since the last reset. */
  get failures(): number {
    return this.#failures
  }

  /** It has failed once more; returns how long to wait now, in milliseconds. */
  next(): number {
    this.#failures += 1
    return backoffMs(this.#failures, this.#limits, this.#random)
  }

  /** It went well. */
  reset(): void {
    this.#failures = 0
  }
}
