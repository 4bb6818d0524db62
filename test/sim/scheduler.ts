/**
 * The one clock and the one order of a simulated world. Events are run one after another, each when its time has come,
 * and before the next one every promise has settled. Knows nothing of what the events are.
 */

import { type Random, seededRandom } from '../fuzz/random.ts'
import { settle } from '../support/fake-clock.ts'

/** Virtual time is in microseconds since the world began. */
export const MS = 1_000
export const SECOND = 1_000 * MS

interface Scheduled {
  readonly at: number
  readonly order: number
  run: (() => void) | undefined
}

export class Scheduler {
  readonly random: Random
  #now = 0
  #order = 0
  /** A binary heap: no event is sooner than the one at half its place. */
  readonly #heap: Scheduled[] = []

  constructor(seed: number) {
    this.random = seededRandom(seed)
  }

  get now(): number {
    return this.#now
  }

  /** Runs `run` in `us` microseconds; of two for the same time the first that was asked for is first. Returns its undoing. */
  after(us: number, run: () => void): () => void {
    const scheduled: Scheduled = { at: this.#now + Math.max(0, Math.round(us)), order: this.#order++, run }
    this.#push(scheduled)
    return () => {
      scheduled.run = undefined
    }
  }

  /** A time between the two, in microseconds. */
  between(from: number, to: number): number {
    return from + this.random.below(to - from + 1)
  }

  /** Runs all events of the next `us` microseconds, those that they bring about included. Stops early where `done` says so. */
  async advance(us: number, done: () => boolean = () => false): Promise<void> {
    const end = this.#now + us
    await settle()
    for (let next = this.#heap[0]; next && next.at <= end && !done(); next = this.#heap[0]) {
      this.#pop()
      if (!next.run) continue
      this.#now = next.at
      next.run()
      await settle()
    }
    if (!done()) this.#now = end
  }

  #push(item: Scheduled): void {
    const heap = this.#heap
    let place = heap.length
    while (place > 0) {
      const above = (place - 1) >> 1
      const parent = heap[above] as Scheduled
      if (!isSooner(item, parent)) break
      heap[place] = parent
      place = above
    }
    heap[place] = item
  }

  /** Removes the first. */
  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Scheduled
    if (heap.length === 0) return
    let place = 0
    while (true) {
      let below = 2 * place + 1
      if (below >= heap.length) break
      const right = heap[below + 1]
      if (right && isSooner(right, heap[below] as Scheduled)) below += 1
      const child = heap[below] as Scheduled
      if (!isSooner(child, last)) break
      heap[place] = child
      place = below
    }
    heap[place] = last
  }
}

function isSooner(a: Scheduled, b: Scheduled): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
