/**
 * When is a device due? A keyed map of what is pending, one entry per device however many events come in, by the rule in
 * rule.ts. Remembers no push that is over: the claim for the next one tells whether it has covered the events already,
 * or how long its window still lasts. Knows nothing of Apple, stores or processes.
 */

import type { Clock, Timer } from '../base/clock.ts'
import { type Mails, NO_MAILS } from '../observe/observer.ts'
import type { Journal } from './journal.ts'
import { type Batch, batchOf, covers, type DeviceEvent, decidedOf, merge, type Rule } from './rule.ts'
import type { Target } from './settle.ts'

/** Events that nothing has been decided of yet; changes only, or mails among them. */
export interface Fresh {
  readonly mails: Mails
  readonly isChange: boolean
}

/** One device with events that no push covers yet. */
export class Entry {
  /** The name of the device's pushes: the same in every process. */
  readonly key: string
  /** The device as the newest event knew it. */
  target: Target
  /** The events for the next push. */
  pending: Batch | undefined
  /** The events for the push under way: pending again should it fail. */
  inFlight: Batch | undefined
  /** When the push under way started; undefined while it is only being prepared. */
  startedAt: number | undefined
  /** The store's claim under which a push is tried, until it gets through. */
  held: number | undefined
  /** The store failed to answer a claim, so a claim that it knows of may be that one. */
  unsure = false
  /** Failed tries of what is pending that were this device's own matter, one after another. */
  failures = 0
  /** Nothing is pushed before this time: a window, or a wait that Apple asked for. */
  notBefore = 0
  /** When that was said. */
  restsSince = 0
  /** `resting` until the next push is due, `ready` in the sender's queue, `busy` while a push is under way. */
  state: 'resting' | 'ready' | 'busy' = 'resting'
  timer: Timer | undefined
  /** When the timer goes off. */
  wakesAt = 0
  /** The user in whose name the entry was made. */
  readonly user: string

  constructor(key: string, target: Target) {
    this.key = key
    this.target = target
    this.user = target.user
  }
}

/** Told of each user that has something pending: as often that it is so, and that it is so no more. */
export type PendingUsers = Pick<Journal, 'enter' | 'leave'>

export class Coalescer {
  /** By key. */
  readonly #entries = new Map<string, Entry>()
  readonly #rule: Rule
  readonly #ready: (entry: Entry) => void
  readonly #users: PendingUsers
  readonly #clock: Clock
  #hurry = false
  #closed = false

  /** `ready` is called when an entry falls due; it must lead to begin() and then to one of the ways to end a push. */
  constructor(rule: Rule, ready: (entry: Entry) => void, users: PendingUsers, clock: Clock) {
    this.#rule = rule
    this.#ready = ready
    this.#users = users
    this.#clock = clock
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
  add(key: string, target: Target, event: DeviceEvent): Entry {
    const entry = this.#entries.get(key) ?? this.#create(key, target)
    entry.target = target
    const batch = batchOf(event, this.#rule)
    // One that started later than now did so before the clock was set back, and shows nothing.
    const startedAt = entry.startedAt !== undefined && entry.startedAt <= this.#clock.now() && entry.startedAt
    if (startedAt !== false && covers(startedAt, event.at)) {
      entry.inFlight = merge(entry.inFlight, batch)
    } else entry.pending = merge(entry.pending, batch)
    this.#schedule(entry)
    return entry
  }

  /** Those of the next push, or of the one under way, that nothing has been decided of yet. From now on something has been. */
  takeFresh(entry: Entry): Fresh {
    const place = entry.inFlight ? 'inFlight' : 'pending'
    const batch = entry[place]
    if (!batch) return { mails: NO_MAILS, isChange: true }
    if (batch.fresh.count > 0) entry[place] = decidedOf(batch)
    return { mails: batch.fresh, isChange: !Number.isFinite(batch.mailAt) }
  }

  /** A push of `entry` is being prepared. Returns the time of the newest event that it is for. */
  begin(entry: Entry): number {
    entry.state = 'busy'
    entry.inFlight = entry.pending
    entry.pending = undefined
    return entry.inFlight?.newest ?? 0
  }

  /** The push of `entry` starts now, and so is for what came in meanwhile too. Returns the time. */
  start(entry: Entry): number {
    if (entry.pending) entry.inFlight = merge(entry.inFlight, entry.pending)
    entry.pending = undefined
    entry.startedAt = this.#clock.now()
    return entry.startedAt
  }

  /** The events that the push was begun for need none any more: it is over for good, or needless. */
  done(entry: Entry): void {
    entry.held = undefined
    entry.unsure = false
    entry.failures = 0
    if (entry.pending) this.#rest(entry, 0)
    else this.#remove(entry)
  }

  /** The push was not made, or did not get through; the next try is in `ms` milliseconds at the earliest. */
  wait(entry: Entry, ms: number): void {
    if (entry.inFlight) entry.pending = merge(entry.pending, entry.inFlight)
    this.#rest(entry, this.#skipsWait(entry) ? 0 : this.#clock.now() + ms)
  }

  /** The rule is another one: what rests does so no longer than it says now. */
  ruleChanged(): void {
    for (const entry of this.#entries.values()) this.#schedule(entry)
  }

  /** From now on no window and no change delay is kept: the process is about to end. */
  hurry(): void {
    this.#hurry = true
    for (const entry of this.#entries.values()) {
      if (this.#skipsWait(entry)) entry.notBefore = 0
      this.#schedule(entry)
    }
  }

  /** Forgets everything, and what is under way when it ends. */
  close(): void {
    this.#closed = true
    for (const entry of this.#entries.values()) entry.timer?.cancel()
    this.#entries.clear()
  }

  /** A process about to end keeps no window, but leaves a device alone that Apple wants to be left alone. */
  #skipsWait({ failures }: Entry): boolean {
    return this.#hurry && failures === 0
  }

  #create(key: string, target: Target): Entry {
    const entry = new Entry(key, target)
    this.#entries.set(key, entry)
    this.#users.enter(entry.user)
    return entry
  }

  #remove(entry: Entry): void {
    // After close() it is forgotten here, and stays pending for the process that comes next.
    if (this.#entries.delete(entry.key)) this.#users.leave(entry.user)
  }

  #rest(entry: Entry, notBefore: number): void {
    entry.inFlight = undefined
    entry.startedAt = undefined
    entry.state = 'resting'
    entry.notBefore = notBefore
    entry.restsSince = this.#clock.now()
    this.#schedule(entry)
  }

  /** Sets the timer of a resting entry for its next push. */
  #schedule(entry: Entry): void {
    if (entry.state !== 'resting' || this.#closed) return
    const now = this.#clock.now()
    // Later times are of a clock that was set back since.
    const due = this.#hurry ? 0 : Math.min(entry.pending?.due ?? 0, now + this.#rule.changeDelayMs)
    // A device that has not failed rests for the window alone, which may have become shorter.
    const most = entry.failures === 0 ? now + this.#rule.windowMs : Number.POSITIVE_INFINITY
    const at = Math.max(due, entry.restsSince > now ? 0 : Math.min(entry.notBefore, most))
    if (at <= now) return this.#wake(entry)
    // Nothing is put off: after a clock was set back each event would.
    if (entry.timer && entry.wakesAt <= at) return
    entry.timer?.cancel()
    entry.timer = this.#clock.after(at - now, () => this.#wake(entry))
    entry.wakesAt = at
  }

  #wake(entry: Entry): void {
    entry.timer?.cancel()
    entry.timer = undefined
    entry.state = 'ready'
    this.#ready(entry)
  }
}
