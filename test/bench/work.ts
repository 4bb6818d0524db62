/** Work of a kind, `count` times: so many at once, or at a steady rate. */

import { setTimeout as sleep } from 'node:timers/promises'

/** Calls `run` with 0 to `count` - 1, `most` of them at once. Resolves with the milliseconds that all of it took. */
export async function inParallel(
  count: number,
  most: number,
  run: (index: number) => Promise<unknown>,
): Promise<number> {
  const start = performance.now()
  let next = 0
  const worker = async () => {
    while (next < count) await run(next++)
  }
  await Promise.all(Array.from({ length: most }, worker))
  return performance.now() - start
}

/** Calls `run` with 0 to `count` - 1, `perSecond` times a second; runs that a late timer missed are made up for at once. */
export async function pace(count: number, perSecond: number, run: (index: number) => void): Promise<void> {
  const start = performance.now()
  let next = 0
  while (next < count) {
    const due = Math.min(count, Math.floor(((performance.now() - start) * perSecond) / 1000) + 1)
    while (next < due) run(next++)
    const untilNext = start + (next * 1000) / perSecond - performance.now()
    await sleep(Math.max(0, untilNext))
  }
}
