/** Time, so that tests can hold it. The system's is the default everywhere. */

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls `run` once, `ms` milliseconds from now. The process stays alive for its sake only with `keepsAlive`. */
  after(ms: number, run: () => void, options?: { readonly keepsAlive?: boolean }): Timer
}

/** The longest delay that Node's timers take; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run, { keepsAlive = false } = {}) {
    const timer = setTimeout(run, Math.min(Math.max(ms, 0), LONGEST_TIMER_MS))
    if (!keepsAlive) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}
