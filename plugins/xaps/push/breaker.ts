/**
 * Whether pushes may go to Apple at all, and how many at once: a circuit breaker. Closed, it lets them go. It opens
 * when the connection is broken, when Apple refuses our credentials, or when so many pushes fail each by itself that it
 * is no accident any more. After a while it is half-open: one push may try, whose answer closes it, and whose failure
 * opens it again. Those that waited follow in growing numbers, so that a recovery is no stampede. Knows nothing of
 * devices.
 */

import type { Verdict } from '../apns/verdict.ts'
import { Backoff, STANDARD_BACKOFF } from '../base/backoff.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { TransitionLog } from '../base/transition-log.ts'
import { consequenceOf, type TroubleKind } from './consequences.ts'

/** Credentials and configuration are repaired by people: no sense in asking more often. */
export const SETUP_RETRY_MS = 60_000

/** After an outage those that waited are pushed at this rate at most: every push makes a phone fetch mail. */
const RECOVERY_PACE = { pushes: 100, perMs: 100 } as const

/** Pushes that fail each by itself open the breaker when there are so many without one answer in between, … */
export const ALONE_IN_A_ROW = 10

/** … or when more than half of so many pushes, the last ones, failed. */
export const LAST_PUSHES = 50

export interface BreakerParts {
  /** Called when pushes may be tried again. */
  readonly resume: () => void
  /** Called when pushes begin to wait, and why, and when they do no longer. */
  readonly changed: (trouble: TroubleKind | undefined) => void
  /** How many pushes wait at present. */
  readonly waiting: () => number
  readonly log: Log
  readonly random?: (() => number) | undefined
}

const SAID: Record<TroubleKind, string> = {
  connection: 'Apple cannot be reached; pushes wait and are tried again',
  busy: 'Apple asks to wait; pushes wait and are tried again',
  setup:
    'Apple refuses our pushes; check the [apns] section of xaps.ini with `xaps check`; no device is forgotten',
}

export class CircuitBreaker {
  readonly #parts: BreakerParts
  readonly #clock: Clock
  readonly #transitions: TransitionLog
  /** Since when pushes have met trouble, in ms since the epoch, until the breaker closes. */
  #troubleSince: number | undefined
  /** Set while the breaker is open. Trouble without it: half-open. */
  #timer: Timer | undefined
  #openedAt = 0
  /** Counts how often it has opened without a full recovery in between. */
  readonly #backoff: Backoff
  /** How the last pushes went: true for a push that failed by itself. */
  #lately: boolean[] = []
  /** After an outage: how many of those that waited have not started yet, and how many may be under way. */
  #backlog = 0
  #allowed = 0
  #slot = { from: 0, started: 0 }
  #pause: Timer | undefined
  #ended = false

  constructor(parts: BreakerParts, clock: Clock) {
    this.#parts = parts
    this.#clock = clock
    this.#backoff = new Backoff(STANDARD_BACKOFF, parts.random)
    this.#transitions = new TransitionLog('closed', clock)
  }

  /** Whether no push at all may go out now. */
  get open(): boolean {
    return this.#timer !== undefined
  }

  /** May one more push start while `underWay` are under way? A yes counts against the rate after an outage. */
  pass(underWay: number): boolean {
    if (this.open) return false
    if (this.#troubleSince !== undefined) return underWay === 0
    if (this.#backlog === 0) return true
    if (underWay >= this.#allowed || !this.#withinRate()) return false
    this.#backlog -= 1
    if (this.#backlog === 0) this.#backoff.reset()
    return true
  }

  /** What came of a push that started at `startedAt` (ms since the epoch). Of many that fail together one counts. */
  settle(verdict: Verdict, startedAt: number): void {
    const { breaker } = consequenceOf(verdict)
    if (breaker === 'answered') return this.#answered()
    if (startedAt <= this.#openedAt || this.#ended) return
    const [weight, trouble] = breaker
    if (weight === 'open') return this.#openFor(trouble, verdict.reason, verdict.afterMs)
    this.#remember(true)
    // Where Apple said how long this push has to wait, that is for this push alone.
    if (this.#troubleSince !== undefined || this.#manyFail()) this.#openFor(trouble, verdict.reason)
  }

  /** Half-open now: something was repaired, or there is no time to wait. */
  tryNow(): void {
    if (!this.#timer) return
    this.#timer.cancel()
    this.#halfOpen()
  }

  /** Sets no timer and writes no line any more. */
  close(): void {
    this.#ended = true
    this.#timer?.cancel()
    this.#pause?.cancel()
    this.#transitions.close()
  }

  #answered(): void {
    if (this.open) return
    this.#remember(false)
    if (this.#troubleSince !== undefined) this.#recover(this.#troubleSince)
    else this.#allowed += 1
  }

  #remember(failed: boolean): void {
    this.#lately.push(failed)
    if (this.#lately.length > LAST_PUSHES) this.#lately.shift()
  }

  #manyFail(): boolean {
    const inARow = this.#lately.length - 1 - this.#lately.lastIndexOf(false)
    return inARow >= ALONE_IN_A_ROW || this.#lately.filter(failed => failed).length > LAST_PUSHES / 2
  }

  #openFor(trouble: TroubleKind, cause: string, leastMs = 0): void {
    const ms = this.#backoff.next()
    this.#parts.changed(trouble)
    const level = trouble === 'setup' ? 'error' : 'warn'
    this.#transitions.to(trouble, counted => this.#parts.log[level](SAID[trouble], { cause, ...counted }))
    this.#timer?.cancel()
    this.#openedAt = this.#clock.now()
    this.#troubleSince ??= this.#openedAt
    this.#lately = []
    this.#timer = this.#clock.after(Math.max(leastMs, trouble === 'setup' ? SETUP_RETRY_MS : ms), () =>
      this.#halfOpen(),
    )
  }

  #halfOpen(): void {
    this.#timer = undefined
    this.#parts.resume()
  }

  #recover(since: number): void {
    const seconds = Math.round((this.#clock.now() - since) / 1000)
    const waiting = this.#parts.waiting()
    this.#parts.changed(undefined)
    this.#transitions.to('closed', counted => {
      this.#parts.log.notice('Apple accepts pushes again', { after_seconds: seconds, waiting, ...counted })
    })
    this.#backlog = waiting
    this.#troubleSince = undefined
    this.#allowed = 2
    if (waiting === 0) this.#backoff.reset()
  }

  #withinRate(): boolean {
    const { pushes, perMs } = RECOVERY_PACE
    const now = this.#clock.now()
    if (now - this.#slot.from >= perMs) this.#slot = { from: now, started: 0 }
    if (this.#slot.started < pushes) {
      this.#slot.started += 1
      return true
    }
    this.#pause ??= this.#clock.after(this.#slot.from + perMs - now, () => {
      this.#pause = undefined
      this.#parts.resume()
    })
    return false
  }
}
