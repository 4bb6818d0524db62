/**
 * When a device may be pushed: the rule itself, and claims kept in this process's memory, for when there is nowhere
 * better. (DESIGN: "the time of the last push per device is claimed in the shared store".)
 */

import type { Claim, ClaimRequest } from './store.ts'

/**
 * Decides a claim. `last` is the time of the last one for the same device, `now` the present, both in milliseconds of
 * one clock; a granted claim's id is `now`. A `last` in the future (the clock was set back) stands in nobody's way.
 */
export function decideClaim(last: number | undefined, now: number, request: ClaimRequest): Claim {
  const granted: Claim = { kind: 'granted', id: now }
  if (last === undefined || last > now || last === request.held) return granted
  if (last >= now - request.ageMs) return { kind: 'covered' }
  const ms = last + request.windowMs - now
  return ms > 0 ? { kind: 'wait', ms } : granted
}

/** Where claims are kept. `claim` takes the key of a push, `sweep` drops those from before `before` (ms). */
export interface Claims {
  claim(key: string, request: ClaimRequest): Promise<Claim>
  sweep(before: number): Promise<void>
  close(): Promise<void>
}

/** Claims that only this process knows of: pushes are coalesced per process, and none is ever held up. */
export function claimsInMemory(now: () => number): Claims {
  const lasts = new Map<string, number>()
  return {
    async claim(key, request) {
      const claim = decideClaim(lasts.get(key), now(), request)
      if (claim.kind === 'granted') lasts.set(key, claim.id)
      return claim
    },
    async sweep(before) {
      for (const [key, last] of lasts) if (last < before) lasts.delete(key)
    },
    async close() {
      lasts.clear()
    },
  }
}
