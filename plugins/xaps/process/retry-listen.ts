/** Tries to open a listener until it is open. Knows nothing of what it opens. */

import { Backoff, NO_JITTER, STANDARD_BACKOFF } from '../base/backoff.ts'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'

export interface Attempts {
  /** Settles with the first attempt; with `retry` it resolves even if that failed. */
  readonly tried: Promise<void>
  /** Ends the attempts; resolves when none is running. */
  stop(): Promise<void>
}

/** Calls `open`, with `retry` until it resolves. What fails is logged once, and once when it went well after all. */
export function retryListen(
  open: () => Promise<void>,
  { retry, log }: { readonly retry: boolean; readonly log: Log },
  clock: Clock = systemClock,
): Attempts {
  const backoff = new Backoff(STANDARD_BACKOFF, NO_JITTER)
  let attempt: Promise<void>
  let next: Timer | undefined
  let stopped = false

  const failed = (error: unknown) => {
    if (backoff.failures === 0) log.error('cannot listen, trying again', { reason: reasonOf(error) })
    if (stopped) return
    next = clock.after(backoff.next(), () => {
      attempt = open().then(() => log.notice('listening after all'), failed)
    })
  }

  attempt = retry ? open().catch(failed) : open()
  return {
    tried: attempt,
    async stop() {
      stopped = true
      next?.cancel()
      // What failed was told to the caller, or logged.
      await attempt.catch(() => undefined)
    },
  }
}
