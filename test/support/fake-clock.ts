/** A clock that stands still until it is told to move: hours of timers in milliseconds. Knows no real time. */

import type { Clock, Timer } from '../../plugins/xaps/base/clock.ts'

interface Alarm {
  readonly at: number
  readonly run: () => void
}

export class FakeClock implements Clock {
  #now: number
  /** In the order in which they go off; of alarms for the same time the first that was set is first. */
  readonly #alarms: Alarm[] = []
  readonly #letSettle: () => Promise<void>

  /** `letSettle`: runs between two timers. Where sockets or files take part, use turns(). */
  constructor(now = Date.UTC(2030, 0, 1), letSettle = settle) {
    this.#now = now
    this.#letSettle = letSettle
  }

  now(): number {
    return this.#now
  }

  /** How many timers are running. */
  get timers(): number {
    return this.#alarms.length
  }

  /** Milliseconds until the next timer; undefined without one. */
  get next(): number | undefined {
    return this.#alarms[0] && this.#alarms[0].at - this.#now
  }

  after(ms: number, run: () => void): Timer {
    const alarm: Alarm = { at: this.#now + Math.max(0, ms), run }
    this.#alarms.splice(this.#alarms.findLastIndex(({ at }) => at <= alarm.at) + 1, 0, alarm)
    return {
      cancel: () => {
        const place = this.#alarms.indexOf(alarm)
        if (place >= 0) this.#alarms.splice(place, 1)
      },
    }
  }

  /** Resolves when `ms` milliseconds have passed on this clock, for code that waits inside a test. */
  sleep(ms: number): Promise<void> {
    return new Promise(resolve => this.after(ms, resolve))
  }

  /** Lets `ms` milliseconds pass: runs every timer in its order and lets promises settle before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await this.#letSettle()
    while (this.#alarms[0] && this.#alarms[0].at <= end) {
      const { at, run } = this.#alarms.shift() as Alarm
      this.#now = Math.max(this.#now, at)
      run()
      await this.#letSettle()
    }
    this.#now = end
  }
}

/** Lets every promise settle that waits for nothing but promises; takes no turn of the event loop. */
export async function settle(): Promise<void> {
  // Ticks run when no microtask is left, if they were asked for in a microtask.
  await undefined
  await new Promise<void>(resolve => process.nextTick(resolve))
}

/** Some turns of the event loop, enough for promises that wait for each other. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(resolve => setImmediate(resolve))
}
