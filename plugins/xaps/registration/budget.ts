/** A bound on something that many senders share: the bytes of requests that have not come in whole yet. */

/** 30 of the largest requests at once; real ones are gone before the next arrives. */
export const UNFINISHED_REQUESTS_BYTES = 32 * 1024 * 1024

export class Budget {
  #left: number

  constructor(limit: number) {
    this.#left = limit
  }

  get left(): number {
    return this.#left
  }

  /** Takes `amount`; false when so much is not left, and then nothing is taken. */
  take(amount: number): boolean {
    if (amount > this.#left) return false
    this.#left -= amount
    return true
  }

  /** Gives back what was taken. */
  give(amount: number): void {
    this.#left += amount
  }
}
