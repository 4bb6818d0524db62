/**
 * When is a device due? A keyed map of what is pending, one entry per device however many events come in, and the
 * rule of decision 6: a push covers every event before it, so the first event is due at once, what comes within
 * `window` after a push is due at the window's end, and a change waits `change_delay` for another push to cover it.
 * Knows nothing of Apple, stores or processes: whoever is told that an entry is ready pushes it and says how it went.
 */

import { type Clock, systemClock, type Timer } from '../clock.ts'
import type { MailEvent } from '../event.ts'

/** Events that no push covers yet. Times in milliseconds since the epoch. */
export interface Wanted {
  readonly oldest: number
  readonly newest: number
  /** When a push for them is due. */
  readonly due: number
}

/** One device with events that are not covered, or with a push that started less than a window ago. */
export interface Entry<T> {
  readonly key: string
  /** Whom to push: as the newest event knew the device. */
  target: T
  wanted: Wanted | undefined
  /** The store's claim under which a push is tried, until it gets through. */
  held: number | undefined
  /** Failed tries of the pushes that are pending, one after another. */
  failures: number
  /** Nothing is pushed before this time: a window, or a wait that Apple asked for. */
  notBefore: number
  /** `resting` between pushes, `ready` in the hands of the sender's queue, `busy` while a push is under way. */
  state: 'resting' | 'ready' | 'busy'
  timer: { readonly at: number; readonly cancel: () => void } | undefined
}

export interface Rule {
  readonly windowMs: number
  readonly changeDelayMs: number
}

export class Coalescer<T> {
  readonly #entries = new Map<string, Entry<T>>()
  readonly #rule: Rule
  readonly #ready: (entry: Entry<T>) => void
  readonly #clock: Clock
  #hurry = false

  /** `ready` is called whenever an entry falls due; it must lead to begin() and one of done(), wait() or retry(). */
  constructor(rule: Rule, ready: (entry: Entry<T>) => void, clock: Clock = systemClock) {
    this.#rule = rule
    this.#ready = ready
    this.#clock = clock
  }

  /** How many devices have events that wait for a push. */
  get pending(): number {
    let pending = 0
    for (const entry of this.#entries.values()) if (entry.wanted || entry.state === 'busy') pending += 1
    return pending
  }

  /** An event for the device `key`. */
  add(key: string, target: T, { kind, at }: Pick<MailEvent, 'kind' | 'at'>): void {
    const due = kind === 'new' ? at : at + this.#rule.changeDelayMs
    const entry = this.#entries.get(key) ?? this.#create(key, target)
    entry.target = target
    entry.wanted = merge(entry.wanted, { oldest: at, newest: at, due })
    this.#schedule(entry)
  }

  /** A push of `entry` is being prepared; what it will cover is still open. */
  begin(entry: Entry<T>): void {
    entry.state = 'busy'
  }

  /** The push of `entry` starts now: hands over the events that it covers. Later ones are collected for the next. */
  take(entry: Entry<T>): Wanted {
    const taken = entry.wanted ?? { oldest: 0, newest: 0, due: 0 }
    entry.wanted = undefined
    return taken
  }

  /** Some push that covers all events up to `covered` is done: ours or another process's. */
  done(entry: Entry<T>, covered: number): void {
    entry.held = undefined
    entry.failures = 0
    if (entry.wanted && entry.wanted.newest <= covered) entry.wanted = undefined
    this.#rest(entry, covered + this.#rule.windowMs)
  }

  /** `entry` may not be pushed for another `ms` milliseconds; `taken` are the events of a push that failed. */
  wait(entry: Entry<T>, ms: number, taken?: Wanted): void {
    if (taken) entry.wanted = merge(entry.wanted, taken)
    this.#rest(entry, this.#clock.now() + ms)
  }

  /** The push failed for a reason that lies not with the device: `entry` is ready again at once. */
  retry(entry: Entry<T>, taken: Wanted): void {
    this.wait(entry, 0, taken)
  }

  /** Drops what is pending for `entry`; a new event starts afresh. */
  drop(entry: Entry<T>): void {
    entry.timer?.cancel()
    this.#entries.delete(entry.key)
  }

  /** From now on everything pending is due at once: the process is about to end. */
  hurry(): void {
    this.#hurry = true
    for (const entry of this.#entries.values()) this.#schedule(entry)
  }

  #create(key: string, target: T): Entry<T> {
    const entry: Entry<T> = {
      key,
      target,
      wanted: undefined,
      held: undefined,
      failures: 0,
      notBefore: 0,
      state: 'resting',
      timer: undefined,
    }
    this.#entries.set(key, entry)
    return entry
  }

  #rest(entry: Entry<T>, notBefore: number): void {
    entry.state = 'resting'
    entry.notBefore = notBefore
    this.#schedule(entry)
  }

  /** Sets the timer of a resting entry: for its next push, or for its removal when the window is over. */
  #schedule(entry: Entry<T>): void {
    if (entry.state !== 'resting') return
    const at = this.#hurry && entry.wanted ? 0 : Math.max(entry.wanted?.due ?? 0, entry.notBefore)
    if (at <= this.#clock.now()) return this.#wake(entry)
    if (entry.timer && entry.timer.at === at) return
    entry.timer?.cancel()
    const timer: Timer = this.#clock.after(at - this.#clock.now(), () => this.#wake(entry))
    entry.timer = { at, cancel: () => timer.cancel() }
  }

  #wake(entry: Entry<T>): void {
    entry.timer?.cancel()
    entry.timer = undefined
    if (!entry.wanted) {
      this.#entries.delete(entry.key)
      return
    }
    entry.state = 'ready'
    this.#ready(entry)
  }
}

function merge(a: Wanted | undefined, b: Wanted): Wanted {
  if (!a) return b
  return {
    oldest: Math.min(a.oldest, b.oldest),
    newest: Math.max(a.newest, b.newest),
    due: Math.min(a.due, b.due),
  }
}
