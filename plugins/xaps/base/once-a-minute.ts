/** What comes up with every request is logged once a minute per cause: a full disk must not be filled by our log. */

import { type Clock, systemClock } from './clock.ts'

const MINUTE_MS = 60_000

/** Causes are partly the senders' choice (a user's name): there is no end to them. */
const MOST_CAUSES = 10

/** Returns a function: whether `cause` is new in this minute. Causes that differ in numbers only are the same. */
export function onceAMinute(clock: Clock = systemClock): (cause: string) => boolean {
  const causes = new Set<string>()
  let from = clock.now()
  return cause => {
    const ms = clock.now() - from
    if (ms < 0 || ms >= MINUTE_MS) {
      from = clock.now()
      causes.clear()
    }
    const before = causes.size
    if (before < MOST_CAUSES) causes.add(cause.replace(/\d+/g, '#'))
    return causes.size > before
  }
}
