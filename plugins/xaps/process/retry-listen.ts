/** Trying to open something until it is open. Knows nothing of what it opens. */

import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'

/** Milliseconds between two attempts: doubling, from the first to the longest. */
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 15_000

export interface Opening {
  /** Settles with the first attempt; with `retry` it resolves even if that failed. */
  readonly tried: Promise<void>
  /** Ends the attempts; resolves when none is running. */
  stop(): Promise<void>
}

/** Calls `open`, with `retry` until it resolves. What fails is logged once, and once when it went well after all. */
export function keepOpening(
  open: () => Promise<void>,
  { retry, log }: { readonly retry: boolean; readonly log: Log },
  clock: Clock = systemClock,
): Opening {
  let attempt: Promise<void>
  let next: Timer | undefined
  let stopped = false
  let pause = FIRST_PAUSE_MS

  const failed = (error: unknown) => {
    if (pause === FIRST_PAUSE_MS) log.error('cannot listen, trying again', { reason: reasonOf(error) })
    if (stopped) return
    next = clock.after(pause, () => {
      attempt = open().then(() => log.notice('listening after all'), failed)
    })
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
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
