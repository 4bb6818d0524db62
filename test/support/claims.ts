import { decideClaim } from '../../plugins/xaps/device/claim.ts'
import type { DeviceStore } from '../../plugins/xaps/device/store.ts'

/** A store's `claim` for one process, by the clock `now` (ms since the epoch); it forgets after `keptMs`. */
export function claimsInMemory(
  now: () => number,
  keptMs = Number.POSITIVE_INFINITY,
): Pick<DeviceStore, 'claim'> {
  const lasts = new Map<string, number>()
  return {
    async claim(push, request) {
      const last = lasts.get(push)
      const isKept = last !== undefined && now() - last <= keptMs
      const claim = decideClaim(isKept ? last : undefined, now(), request)
      if (claim.kind === 'granted') lasts.set(push, claim.id)
      return claim
    },
  }
}
