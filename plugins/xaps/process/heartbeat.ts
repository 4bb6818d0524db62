/**
 * Asks another process for signs of life. Questions without an answer are counted, not time: a process that was held up
 * itself has asked nothing meanwhile. Knows no process and no channel.
 */

import type { Clock, Timer } from '../base/clock.ts'

/** Milliseconds between two questions. */
const EVERY_MS = 2_000

/** So many in a row without an answer, when the next is due, are ten seconds of silence. */
const MOST_UNANSWERED = 4

export interface Heartbeat {
  /** The other one has answered. */
  answered(): void
  stop(): void
}

/** Calls `ask` every 2 s; after four questions without an answer `silent`, every 2 s until there is one. */
export function startHeartbeat(ask: () => void, silent: () => void, clock: Clock): Heartbeat {
  let unanswered = 0
  let timer: Timer
  const beat = () => {
    timer = clock.after(EVERY_MS, beat)
    if (unanswered >= MOST_UNANSWERED) return silent()
    unanswered += 1
    ask()
  }
  timer = clock.after(EVERY_MS, beat)
  return {
    answered() {
      unanswered = 0
    },
    stop: () => timer.cancel(),
  }
}
