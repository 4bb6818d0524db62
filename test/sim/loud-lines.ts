/** The lines of processes' logs that an operator sees: how often each has come in a minute. */

import type { Level } from '../../plugins/xaps/base/log.ts'
import { SECOND } from './scheduler.ts'

/** The same line of one process may come so often in a minute. */
export const LINES_A_MINUTE = 2

/** A line for each process that has ended: that is a change of state. */
const PER_DEATH = 'pushes that were pending when a process ended are made now'

const MINUTE_US = 60 * SECOND

export class LoudLines {
  readonly #now: () => number
  /** When each has come. */
  readonly #times = new Map<string, number[]>()

  /** `now`: microseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** How often this process has said so in a minute; lines that differ in numbers only are the same. */
  add(process: string, level: Level, text: string, message: string): number {
    if (level === 'debug' || level === 'info' || message === PER_DEATH) return 0
    const key = `${process} ${text.replace(/\d+/g, '#')}`
    const now = this.#now()
    const times = (this.#times.get(key) ?? []).filter(at => now - at < MINUTE_US)
    this.#times.set(key, [...times, now])
    return times.length + 1
  }

  /** Begins anew for a process that has ended, or for all. */
  forget(process?: string): void {
    for (const key of [...this.#times.keys()])
      if (process === undefined || key.startsWith(`${process} `)) this.#times.delete(key)
  }
}
