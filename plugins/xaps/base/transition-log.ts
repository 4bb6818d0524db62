/** Log lines that must not fill a disk: those of a state that flaps, and those of what comes up with every request. */

import { type Clock, systemClock, type Timer } from './clock.ts'
import type { Fields } from './log.ts'

/** No state stays unsaid for longer. */
export const PERIOD_MS = 5 * 60_000

/** Writes the line of a state; `counted` goes into its fields. */
type Say = (counted: Fields) => void

/**
 * The lines of a state that changes now and then (away, back). In a period each state is said once, as soon as it is met, so
 * that an outage has its line when it begins and when it ends. Changes beyond that are counted, and the period's end tells
 * how many there were, and the present state.
 */
export class TransitionLog {
  readonly #clock: Clock
  #state: string
  #say: Say | undefined
  readonly #said = new Set<string>()
  #periodFrom = Number.NEGATIVE_INFINITY
  /** Changes of this period that have no line yet. The timer is set while there are some. */
  #counted = 0
  #timer: Timer | undefined
  #closed = false

  /** `state`: the one that needs no line at the start. */
  constructor(state: string, clock: Clock = systemClock) {
    this.#state = state
    this.#clock = clock
  }

  /** The state is now `state`; where that is a change, `say` writes its line, now or at the period's end. */
  to(state: string, say: Say): void {
    if (state === this.#state || this.#closed) return
    this.#state = state
    this.#say = say
    const left = this.#periodFrom + PERIOD_MS - this.#clock.now()
    // More than a period is left after a clock was set back.
    if (!this.#timer && (left <= 0 || left > PERIOD_MS)) {
      this.#periodFrom = this.#clock.now()
      this.#said.clear()
    }
    if (this.#said.has(state)) {
      this.#counted += 1
      this.#timer ??= this.#clock.after(left, () => this.#end())
    } else {
      this.#said.add(state)
      say({})
    }
  }

  /** Writes no line any more. */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  /** While it flaps, period follows upon period with one line each; states said in the first are not said again. */
  #end(): void {
    this.#timer = undefined
    this.#say?.({ changes: this.#counted, minutes: PERIOD_MS / 60_000 })
    this.#counted = 0
    this.#periodFrom = this.#clock.now()
  }
}

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
