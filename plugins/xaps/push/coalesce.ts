/**
 * When is a device due? A keyed map of what is pending, one entry per device however many events come in, and the
 * rule: a push covers every event before it, so the first event is due at once, what comes within `window` after a
 * push is due at the window's end, and a change waits `change_delay` for another push to cover it. Knows nothing of
 * Apple, stores or processes: whoever is told that an entry is ready pushes it and says how it went.
 */

import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import type { MailEvent } from '../event.ts'
import { Windows } from './windows.ts'

/** Events that one push is for. Times in milliseconds since the epoch. */
interface Wanted {
  /** A push that starts now or later covers them all. */
  readonly newest: number
  /** When a push for them is due. */
  readonly due: number
}

/** One device with events that no push covers yet. */
export interface Entry<T> {
  readonly key: string
  /** Whom to push: as the newest event knew the device. */
  target: T
  /** What the next push is for. */
  wanted: Wanted | undefined
  /** What the push under way is for: wanted again should it fail. */
  taken: Wanted | undefined
  /** When the push under way started; undefined while it is only being prepared. */
  startedAt: number | undefined
  /** Events up to this time need no push any more. */
  coveredUpTo: number
  /** The store's claim under which a push is tried, until it gets through. */
  held: number | undefined
  /** The store failed to answer a claim, so a claim that it knows of may be that one. */
  unsure: boolean
  /** Failed tries of what is pending that were this device's own matter, one after another. */
  failures: number
  /** Nothing is pushed before this time: a window, or a wait that Apple asked for. */
  notBefore: number
  /** `resting` until the next push is due, `ready` in the sender's queue, `busy` while a push is under way. */
  state: 'resting' | 'ready' | 'busy'
  timer: Timer | undefined
  /** When the timer goes off. */
  wakesAt: number
}

export interface Rule {
  /** The least time from the start of one push to the start of the next, in milliseconds. */
  readonly windowMs: number
  /** How long a change waits for another push to cover it, in milliseconds. */
  readonly changeDelayMs: number
}

export class Coalescer<T> {
  /** What is pending. */
  readonly #entries = new Map<string, Entry<T>>()
  readonly #windows: Windows
  readonly #rule: Rule
  readonly #ready: (entry: Entry<T>) => void
  readonly #clock: Clock
  #hurry = false
  #closed = false

  /** `ready` is called when an entry falls due; it must lead to begin() and then to one of the ways to end a push. */
  constructor(rule: Rule, ready: (entry: Entry<T>) => void, clock: Clock = systemClock) {
    this.#rule = rule
    this.#ready = ready
    this.#clock = clock
    this.#windows = new Windows(rule.windowMs, clock)
  }

  /** How many devices have events that no push covers yet, or a push under way. */
  get pending(): number {
    return this.#entries.size
  }

  /** The window that pushes keep at present, in milliseconds. */
  get windowMs(): number {
    return this.#hurry ? 0 : this.#rule.windowMs
  }

  /** An event for the device `key`. */
  add(key: string, target: T, { kind, at }: Pick<MailEvent, 'kind' | 'at'>): void {
    const known = this.#entries.get(key)
    const coveredUpTo = known ? known.coveredUpTo : this.#windows.startOf(key)
    if (at <= coveredUpTo) return
    const entry = known ?? this.#create(key, target, coveredUpTo)
    entry.target = target
    const wanted = { newest: at, due: kind === 'new' ? at : at + this.#rule.changeDelayMs }
    if (entry.startedAt !== undefined && at <= entry.startedAt) entry.taken = merge(entry.taken, wanted)
    else entry.wanted = merge(entry.wanted, wanted)
    this.#schedule(entry)
  }

  /** A push of `entry` is being prepared. Returns the time of the newest event that it is for. */
  begin(entry: Entry<T>): number {
    entry.state = 'busy'
    entry.taken = entry.wanted
    entry.wanted = undefined
    return entry.taken?.newest ?? 0
  }

  /** The push of `entry` starts now, and so is for what came in meanwhile too. Returns the time. */
  start(entry: Entry<T>): number {
    if (entry.wanted) entry.taken = merge(entry.taken, entry.wanted)
    entry.wanted = undefined
    entry.startedAt = this.#clock.now()
    return entry.startedAt
  }

  /** The push under way is over for good: accepted, or refused in a way that another try would not change. */
  done(entry: Entry<T>): void {
    this.#end(entry, entry.startedAt ?? 0)
  }

  /** The push that was begun is not made, or given up, and the events that it was for need none any more. */
  dismiss(entry: Entry<T>): void {
    this.#end(entry, entry.taken?.newest ?? 0)
  }

  /** The push under way did not get through; the next try is in `ms` milliseconds at the earliest. */
  wait(entry: Entry<T>, ms: number): void {
    if (entry.taken) entry.wanted = merge(entry.wanted, entry.taken)
    this.#rest(entry, this.#clock.now() + ms)
  }

  /** The push failed for a reason that lies not with the device: `entry` is ready again at once. */
  retry(entry: Entry<T>): void {
    this.wait(entry, 0)
  }

  /** From now on no window and no change delay is kept: the process is about to end. */
  hurry(): void {
    this.#hurry = true
    for (const entry of this.#entries.values()) {
      if (entry.failures === 0) entry.notBefore = 0
      this.#schedule(entry)
    }
  }

  /** Forgets everything, and what is under way when it ends. */
  close(): void {
    this.#closed = true
    for (const entry of this.#entries.values()) entry.timer?.cancel()
    this.#entries.clear()
    this.#windows.close()
  }

  #create(key: string, target: T, coveredUpTo: number): Entry<T> {
    this.#windows.end(key)
    const entry: Entry<T> = {
      key,
      target,
      wanted: undefined,
      taken: undefined,
      startedAt: undefined,
      coveredUpTo,
      held: undefined,
      unsure: false,
      failures: 0,
      notBefore: coveredUpTo + this.windowMs,
      state: 'resting',
      timer: undefined,
      wakesAt: 0,
    }
    this.#entries.set(key, entry)
    return entry
  }

  /** A push is over, and the story of its tries with it; it started at `coveredUpTo`, or at least not before. */
  #end(entry: Entry<T>, coveredUpTo: number): void {
    entry.coveredUpTo = coveredUpTo
    entry.held = undefined
    entry.unsure = false
    entry.failures = 0
    if (entry.wanted) return this.#rest(entry, coveredUpTo + this.windowMs)
    this.#entries.delete(entry.key)
    if (!this.#closed) this.#windows.begin(entry.key, coveredUpTo)
  }

  #rest(entry: Entry<T>, notBefore: number): void {
    entry.taken = undefined
    entry.startedAt = undefined
    entry.state = 'resting'
    entry.notBefore = notBefore
    this.#schedule(entry)
  }

  /** Sets the timer of a resting entry for its next push. */
  #schedule(entry: Entry<T>): void {
    if (entry.state !== 'resting' || this.#closed) return
    const due = this.#hurry ? 0 : (entry.wanted?.due ?? 0)
    const at = Math.max(due, entry.notBefore)
    const now = this.#clock.now()
    if (at <= now) return this.#wake(entry)
    if (entry.timer && entry.wakesAt === at) return
    entry.timer?.cancel()
    entry.timer = this.#clock.after(at - now, () => this.#wake(entry))
    entry.wakesAt = at
  }

  #wake(entry: Entry<T>): void {
    entry.timer?.cancel()
    entry.timer = undefined
    entry.state = 'ready'
    this.#ready(entry)
  }
}

function merge(a: Wanted | undefined, b: Wanted): Wanted {
  if (!a) return b
  return { newest: Math.max(a.newest, b.newest), due: Math.min(a.due, b.due) }
}
