/** Waiting times that double, with jitter, so that many who failed together do not come back together. */

export interface Backoff {
  readonly firstMs: number
  readonly lastMs: number
}

/** To Apple: from half a second to a quarter of a minute. */
export const APPLE_BACKOFF: Backoff = { firstMs: 500, lastMs: 15_000 }

/** The wait before attempt `failures` + 1: between half of and the whole of the doubled time. */
export function backoffMs(failures: number, { firstMs, lastMs }: Backoff, random = Math.random): number {
  const full = Math.min(lastMs, firstMs * 2 ** Math.min(Math.max(failures - 1, 0), 30))
  return Math.round(full * (0.5 + random() / 2))
}
