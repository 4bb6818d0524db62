/** Time, so that tests can hold it. The system's is the default everywhere. */

export interface Timer {
  cancel(): void
}

export interface TimerOptions {
  /** Whether the process stays alive for the timer's sake. */
  readonly keepsAlive?: boolean
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls `run` once, `ms` milliseconds from now. */
  after(ms: number, run: () => void, options?: TimerOptions): Timer
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
