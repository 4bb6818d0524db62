/**
 * Which devices were pushed less than a window ago, and when those pushes started. As small as can be, since it holds
 * every device that was pushed: one number each, and one timer for all, because all windows are of one length.
 */

import { type Clock, systemClock, type Timer } from '../base/clock.ts'

export class Windows {
  /** Device → when its last push started, ms since the epoch; the oldest windows come first. */
  readonly #starts = new Map<string, number>()
  readonly #windowMs: number
  readonly #clock: Clock
  #timer: Timer | undefined

  constructor(windowMs: number, clock: Clock = systemClock) {
    this.#windowMs = windowMs
    this.#clock = clock
  }

  /**
   * When the last push to `key` started, if that was less than a window ago, else -Infinity. A start that lies in the
   * future (the clock was set back) would hold up the device until then: it counts for nothing.
   */
  startOf(key: string): number {
    const start = this.#starts.get(key)
    return start === undefined || start > this.#clock.now() ? Number.NEGATIVE_INFINITY : start
  }

  /** `key` was pushed at `start`. */
  begin(key: string, start: number): void {
    const ms = start + this.#windowMs - this.#clock.now()
    if (ms <= 0) return
    this.#starts.set(key, start)
    this.#timer ??= this.#clock.after(ms, () => this.#sweep())
  }

  /** Forgets the window of `key`. */
  end(key: string): void {
    this.#starts.delete(key)
  }

  close(): void {
    this.#timer?.cancel()
    this.#starts.clear()
  }

  /** Forgets the windows that are over, up to the first one that is not. */
  #sweep(): void {
    this.#timer = undefined
    for (const [key, start] of this.#starts) {
      const ms = start + this.#windowMs - this.#clock.now()
      if (ms > 0) {
        this.#timer = this.#clock.after(ms, () => this.#sweep())
        return
      }
      this.#starts.delete(key)
    }
  }
}
