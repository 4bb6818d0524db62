/** A map of bounded size whose entries expire. */

import type { Clock } from './clock.ts'

export class TtlCache<V> {
  readonly #entries = new Map<string, { readonly value: V; readonly until: number }>()
  readonly #most: number
  readonly #clock: Clock

  /** Beyond `most` entries the one that was set longest ago is evicted. */
  constructor(most: number, clock: Clock) {
    this.#most = most
    this.#clock = clock
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.until > this.#clock.now()) return entry?.value
    this.#entries.delete(key)
    return undefined
  }

  /** Keeps `value` for `ms` milliseconds. */
  set(key: string, value: V, ms: number): void {
    this.#entries.delete(key)
    this.#entries.set(key, { value, until: this.#clock.now() + ms })
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > this.#most && oldest !== undefined) this.#entries.delete(oldest)
  }
}
