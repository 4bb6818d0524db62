/**
 * Whether pushes may go to Apple at all, and how many at once: a breaker. It closes when the connection is broken,
 * when Apple is overloaded, or when Apple refuses our credentials; it tries again by itself with one push, and after
 * a success lets the others follow in growing numbers, so that a recovery is no stampede. It writes one log line per
 * change of state. Knows nothing of devices.
 */

import { type Clock, systemClock, type Timer } from '../clock.ts'
import type { Log } from '../log.ts'
import { APPLE_BACKOFF, backoffMs } from './backoff.ts'

/** Credentials and configuration errors are mended by people: no sense in asking more often. */
export const SETUP_RETRY_MS = 60_000

/** After an outage the devices that waited are pushed at this rate at most: every push makes a phone fetch mail. */
export const RECOVERY_PER_SECOND = 1_000

export interface Trouble {
  /** `connection`: nobody answers. `busy`: Apple asks to wait. `setup`: an operator has to mend something. */
  readonly kind: 'connection' | 'busy' | 'setup'
  readonly cause: string
  /** How long to wait, where Apple said so. */
  readonly afterMs?: number
}

const SAID: Record<Trouble['kind'], string> = {
  connection: 'Apple cannot be reached; pushes wait and are tried again',
  busy: 'Apple asks to wait; pushes wait and are tried again',
  setup:
    'Apple refuses our pushes; check the [apns] section of xaps.ini with `xaps check`; no device is forgotten',
}

export class Gate {
  readonly #log: Log
  readonly #clock: Clock
  readonly #random: () => number
  readonly #opened: () => void
  #trouble: (Trouble & { readonly since: number }) | undefined
  #closedAt = 0
  #failures = 0
  #timer: Timer | undefined
  /** How many may be under way; Infinity in normal times. */
  #allowed = Number.POSITIVE_INFINITY
  #second = { from: 0, started: 0 }
  #pause: Timer | undefined

  /** `opened` is called when pushes may be tried again. */
  constructor(log: Log, opened: () => void, clock: Clock = systemClock, random: () => number = Math.random) {
    this.#log = log
    this.#opened = opened
    this.#clock = clock
    this.#random = random
  }

  /** What keeps pushes from being sent, or undefined. */
  get trouble(): Trouble | undefined {
    return this.#trouble
  }

  /** May one more push start while `underWay` are under way? A yes counts against the rate after an outage. */
  pass(underWay: number): boolean {
    if (this.#timer || underWay >= this.#allowed) return false
    return this.#allowed === Number.POSITIVE_INFINITY || this.#withinRate()
  }

  /** Apple answered a push, whatever it said of the device. */
  answered(): void {
    if (this.#timer) return
    if (this.#trouble) this.#open(this.#trouble)
    else if (this.#allowed !== Number.POSITIVE_INFINITY) this.#allowed += 1
  }

  /** Nothing waits any more: the recovery is over, the next burst is an ordinary one. */
  caughtUp(): void {
    if (!this.#trouble) this.#allowed = Number.POSITIVE_INFINITY
  }

  /** A push that started at `startedAt` met `trouble`. Of many that fail together the first one counts. */
  failed(trouble: Trouble, startedAt: number): void {
    if (startedAt <= this.#closedAt) return
    this.#failures += 1
    this.#report(trouble)
    this.#closeFor(trouble.afterMs ?? this.#standardWait(trouble))
  }

  /** Tries again now: something was mended. */
  reset(): void {
    if (!this.#timer) return
    this.#timer.cancel()
    this.#halfOpen()
  }

  close(): void {
    this.#timer?.cancel()
    this.#pause?.cancel()
  }

  #standardWait(trouble: Trouble): number {
    return trouble.kind === 'setup' ? SETUP_RETRY_MS : backoffMs(this.#failures, APPLE_BACKOFF, this.#random)
  }

  #closeFor(ms: number): void {
    this.#timer?.cancel()
    this.#closedAt = this.#clock.now()
    this.#allowed = 1
    this.#timer = this.#clock.after(ms, () => this.#halfOpen())
  }

  #halfOpen(): void {
    this.#timer = undefined
    this.#opened()
  }

  #open(trouble: Trouble & { since: number }): void {
    const seconds = Math.round((this.#clock.now() - trouble.since) / 1000)
    this.#log.notice('Apple accepts pushes again', { after_seconds: seconds })
    this.#trouble = undefined
    this.#failures = 0
    this.#allowed = 2
  }

  #report(trouble: Trouble): void {
    const since = this.#trouble?.since ?? this.#clock.now()
    const changed = this.#trouble?.kind !== trouble.kind
    this.#trouble = { ...trouble, since }
    if (!changed) return
    const level = trouble.kind === 'setup' ? 'error' : 'warn'
    this.#log[level](SAID[trouble.kind], { cause: trouble.cause })
  }

  #withinRate(): boolean {
    const now = this.#clock.now()
    if (now - this.#second.from >= 1000) this.#second = { from: now, started: 0 }
    if (this.#second.started < RECOVERY_PER_SECOND) {
      this.#second.started += 1
      return true
    }
    this.#pause ??= this.#clock.after(this.#second.from + 1000 - now, () => {
      this.#pause = undefined
      this.#opened()
    })
    return false
  }
}
