/** A clock that stands still until it is told to move: hours of timers in milliseconds. Knows no real time. */

import type { Clock, Timer } from '../../plugins/xaps/base/clock.ts'

interface Alarm {
  readonly at: number
  /** Of alarms for the same time the first that was set goes off first. */
  readonly order: number
  run: (() => void) | undefined
}

export class FakeClock implements Clock {
  #now: number
  #set = 0
  /** How many alarms are neither run nor cancelled. */
  #live = 0
  /** A binary heap: the next alarm is the first. Cancelled ones stay until their time. */
  readonly #heap: Alarm[] = []
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
    return this.#live
  }

  /** Milliseconds until the next timer; undefined without one. */
  get next(): number | undefined {
    const times = this.#heap.filter(({ run }) => run).map(({ at }) => at)
    return times.length === 0 ? undefined : Math.min(...times) - this.#now
  }

  after(ms: number, run: () => void): Timer {
    const alarm: Alarm = { at: this.#now + Math.max(0, ms), order: this.#set++, run }
    this.#live += 1
    rise(this.#heap, alarm)
    return {
      cancel: () => {
        if (alarm.run) this.#live -= 1
        alarm.run = undefined
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
    while (this.#heap[0] && this.#heap[0].at <= end) {
      const alarm = sink(this.#heap)
      if (!alarm?.run) continue
      this.#now = Math.max(this.#now, alarm.at)
      this.#live -= 1
      const { run } = alarm
      alarm.run = undefined
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

function before(a: Alarm, b: Alarm): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

function rise(heap: Alarm[], alarm: Alarm): void {
  let place = heap.length
  while (place > 0) {
    const above = (place - 1) >> 1
    const parent = heap[above] as Alarm
    if (before(parent, alarm)) break
    heap[place] = parent
    place = above
  }
  heap[place] = alarm
}

function sink(heap: Alarm[]): Alarm | undefined {
  const [first] = heap
  const last = heap.pop()
  if (!last || heap.length === 0) return first
  let place = 0
  for (;;) {
    let below = 2 * place + 1
    const [left, right] = [heap[below], heap[below + 1]]
    if (!left) break
    if (right && before(right, left)) below += 1
    const child = heap[below] as Alarm
    if (before(last, child)) break
    heap[place] = child
    place = below
  }
  heap[place] = last
  return first
}
