/** Waiting for a condition, so that no test sleeps for a guess. */

import { setTimeout as sleep } from 'node:timers/promises'

const FIRST_PAUSE_MS = 2
const LONGEST_PAUSE_MS = 50

/**
 * Asks `condition` again and again until it gives something truthy, and resolves with that. Rejects after
 * `timeoutMs` with "waited … for `what`"; what `condition` throws in the meantime counts as "not yet", and the
 * last of it is the cause of the rejection.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
  timeoutMs = 15_000,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs
  let pause = FIRST_PAUSE_MS
  let cause: unknown
  for (;;) {
    try {
      const result = await condition()
      if (result) return result
      cause = undefined
    } catch (error) {
      cause = error
    }
    if (Date.now() >= deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`, { cause })
    await sleep(pause)
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
  }
}
