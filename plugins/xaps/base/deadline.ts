/** Waiting for a promise, but not for ever. */

import { type Clock, systemClock } from './clock.ts'

/** `what` was not done in time. It may still be done later. */
export class TooLate extends Error {
  override name = 'TooLate'
}

/**
 * Settles as `promise` does when it does so within `ms` milliseconds, otherwise rejects with TooLate; what becomes
 * of the promise then is nobody's business any more.
 */
export function within<T>(
  promise: Promise<T>,
  ms: number,
  what: string,
  clock: Clock = systemClock,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => reject(new TooLate(`${what}: no answer within ${Math.round(ms)} ms`)))
    promise.then(resolve, reject).finally(() => timer.cancel())
  })
}
