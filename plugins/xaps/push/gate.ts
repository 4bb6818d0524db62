/**
 * Whether pushes may go to Apple at all, and how many at once: a breaker. It closes when the connection is broken,
 * when Apple is overloaded, or when Apple refuses our credentials; it tries again by itself with one push, and after
 * a success lets those that waited follow in growing numbers, so that a recovery is no stampede. It writes one log
 * line per change of state. Knows nothing of devices.
 */

import { type Clock, systemClock, type Timer } from '../clock.ts'
import type { Log } from '../log.ts'
import { APPLE_BACKOFF, backoffMs } from './backoff.ts'

/** Credentials and configuration errors are mended by people: no sense in asking more often. */
export const SETUP_RETRY_MS = 60_000

/** After an outage those that waited are pushed at this rate at most: every push makes a phone fetch mail. */
export const RECOVERY_PACE = { pushes: 100, perMs: 100 } as const

/** So many pushes that fail each by itself, without one answer in between, are no accident. */
export const ALONE_IN_A_ROW = 10

export interface Trouble {
  /** `connection`: nobody answers. `busy`: Apple asks to wait. `setup`: an operator has to mend something. */
  readonly kind: 'connection' | 'busy' | 'setup'
  readonly cause: string
  /** How long to wait at least, where Apple said so, in milliseconds. */
  readonly afterMs?: number
}

export interface GateParts {
  /** Called when pushes may be tried again. */
  readonly opened: () => void
  /** How many pushes wait at present. */
  readonly waiting: () => number
  readonly log: Log
  readonly random?: (() => number) | undefined
}

const SAID: Record<Trouble['kind'], string> = {
  connection: 'Apple cannot be reached; pushes wait and are tried again',
  busy: 'Apple asks to wait; pushes wait and are tried again',
  setup:
    'Apple refuses our pushes; check the [apns] section of xaps.ini with `xaps check`; no device is forgotten',
}

export class Gate {
  readonly #parts: GateParts
  readonly #clock: Clock
  /** What keeps pushes from being sent, from the first failure to the first answer. */
  #trouble: (Trouble & { readonly since: number }) | undefined
  /** Set while the gate is closed. Trouble without it: one push may try. */
  #timer: Timer | undefined
  #closedAt = 0
  #failures = 0
  #alone = 0
  /** After an outage: how many of those that waited have not started yet, and how many may be under way. */
  #backlog = 0
  #allowed = 0
  #slot = { from: 0, started: 0 }
  #pause: Timer | undefined
  #ended = false

  constructor(parts: GateParts, clock: Clock = systemClock) {
    this.#parts = parts
    this.#clock = clock
  }

  /** Whether no push at all may go out now. */
  get closed(): boolean {
    return this.#timer !== undefined
  }

  /** May one more push start while `underWay` are under way? A yes counts against the rate after an outage. */
  pass(underWay: number): boolean {
    if (this.#timer) return false
    if (this.#trouble) return underWay === 0
    if (this.#backlog === 0) return true
    if (underWay >= this.#allowed || !this.#withinRate()) return false
    this.#backlog -= 1
    if (this.#backlog === 0) this.#failures = 0
    return true
  }

  /** Apple answered a push, whatever it said of the device. */
  answered(): void {
    this.#alone = 0
    if (this.#timer) return
    if (this.#trouble) this.#open(this.#trouble)
    else this.#allowed += 1
  }

  /** A push that started at `startedAt` met `trouble` that all would meet. Of many that fail together one counts. */
  failed(trouble: Trouble, startedAt: number): void {
    if (startedAt <= this.#closedAt || this.#ended) return
    this.#failures += 1
    this.#report(trouble)
    this.#closeFor(Math.max(trouble.afterMs ?? 0, this.#standardWait(trouble)))
  }

  /** A push failed by itself, on a connection that works: trouble only when nothing else gets through. */
  failedAlone(trouble: Trouble, startedAt: number): void {
    this.#alone += 1
    if (this.#alone >= ALONE_IN_A_ROW) this.failed(trouble, startedAt)
  }

  /** Tries again now: something was mended, or there is no time to wait. */
  reset(): void {
    if (!this.#timer) return
    this.#timer.cancel()
    this.#halfOpen()
  }

  /** Sets no timer and writes no line any more. */
  close(): void {
    this.#ended = true
    this.#timer?.cancel()
    this.#pause?.cancel()
  }

  #standardWait({ kind }: Trouble): number {
    return kind === 'setup' ? SETUP_RETRY_MS : backoffMs(this.#failures, APPLE_BACKOFF, this.#parts.random)
  }

  #closeFor(ms: number): void {
    this.#timer?.cancel()
    this.#closedAt = this.#clock.now()
    this.#timer = this.#clock.after(ms, () => this.#halfOpen())
  }

  #halfOpen(): void {
    this.#timer = undefined
    this.#parts.opened()
  }

  #open(trouble: Trouble & { since: number }): void {
    const seconds = Math.round((this.#clock.now() - trouble.since) / 1000)
    this.#backlog = this.#parts.waiting()
    this.#parts.log.notice('Apple accepts pushes again', { after_seconds: seconds, waiting: this.#backlog })
    this.#trouble = undefined
    this.#allowed = 2
    if (this.#backlog === 0) this.#failures = 0
  }

  #report(trouble: Trouble): void {
    const known = this.#trouble
    this.#trouble = { ...trouble, since: known?.since ?? this.#clock.now() }
    if (known?.kind === trouble.kind) return
    const level = trouble.kind === 'setup' ? 'error' : 'warn'
    this.#parts.log[level](SAID[trouble.kind], { cause: trouble.cause })
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
      this.#parts.opened()
    })
    return false
  }
}
