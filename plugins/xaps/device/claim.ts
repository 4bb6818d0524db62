/**
 * When a device may be pushed: the rule itself, and the last claims that it is applied to.
 */

import type { Claim, ClaimRequest } from './store.ts'

/**
 * Decides a claim. `last` is the time of the last one for the same device, `now` the present, both in milliseconds of
 * one clock; a granted claim's id is `now`. A `last` in the future (the clock was set back) does not count.
 */
export function decideClaim(last: number | undefined, now: number, request: ClaimRequest): Claim {
  const granted: Claim = { kind: 'granted', id: now }
  if (last === undefined || last > now || last === request.held) return granted
  if (last >= now - request.ageMs) return { kind: 'covered' }
  const ms = last + request.windowMs - now
  return ms > 0 ? { kind: 'wait', ms } : granted
}

/** For so long every claim is remembered, in milliseconds. */
export const LEAST_KEPT_MS = 10 * 60_000

/** How long a claim is remembered, in milliseconds: a late request must still see that the push was made. */
export function keptMs({ windowMs }: ClaimRequest): number {
  return Math.max(LEAST_KEPT_MS, 2 * windowMs)
}

/** The time of the last claim of each device, in this process's memory. */
export class LastClaims {
  readonly #leastKeptMs: number
  /** The oldest come first, as long as no clock is set back. */
  readonly #lasts = new Map<string, number>()
  #keptMs = 0
  #sweptAt = 0

  /** `leastKeptMs`: claims are remembered for two windows, and for so long at least. */
  constructor(leastKeptMs = LEAST_KEPT_MS) {
    this.#leastKeptMs = leastKeptMs
  }

  /** The time of the last claim of `key`; undefined where none is remembered. */
  last(key: string): number | undefined {
    return this.#lasts.get(key)
  }

  /** As claim() would decide. */
  ask(key: string, now: number, request: ClaimRequest): Claim {
    return decideClaim(this.#lasts.get(key), now, request)
  }

  /** Decides, and remembers a grant. `now` in milliseconds since the epoch. */
  claim(key: string, now: number, request: ClaimRequest): Claim {
    const claim = this.ask(key, now, request)
    if (claim.kind === 'granted') this.record(key, claim.id, request.windowMs)
    return claim
  }

  /** Remembers a claim of `key` at `at`, for pushes that keep the window `windowMs`. */
  record(key: string, at: number, windowMs: number): void {
    this.#lasts.delete(key)
    this.#lasts.set(key, at)
    this.#keptMs = Math.max(this.#keptMs, this.#leastKeptMs, 2 * windowMs)
    if (Math.abs(at - this.#sweptAt) > this.#keptMs / 2) this.#sweep(at)
  }

  /** Now and then is enough: the memory is for the devices pushed in one and a half times the period. */
  #sweep(now: number): void {
    this.#sweptAt = now
    for (const [key, last] of this.#lasts) {
      if (last <= now && last > now - this.#keptMs) return
      this.#lasts.delete(key)
    }
  }
}
