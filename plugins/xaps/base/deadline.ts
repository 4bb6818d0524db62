/** A promise that is waited for only so long. The work itself goes on; its late result is dropped. */

import { type Clock, systemClock } from './clock.ts'

/** The work was not done in time. It may still be done later. */
export class DeadlineExceeded extends Error {
  override name = 'DeadlineExceeded'
}

/**
 * Settles as `work` does when it does so within `ms` milliseconds, otherwise rejects with DeadlineExceeded, whose message
 * names `what`. The process stays alive meanwhile.
 */
export function within<T>(
  work: Promise<T>,
  ms: number,
  what: string,
  clock: Clock = systemClock,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new DeadlineExceeded(`${what}: no answer within ${Math.round(ms)} ms`))
    const timer = clock.after(ms, late, { keepsAlive: true })
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}
