/**
 * Knows all that happens in a simulated world, and says which promise was broken. The promises have the numbers of
 * docs/reliability.md. Times are the world's, in microseconds.
 */

import type { Level } from '../../plugins/xaps/base/log.ts'
import type { Device } from '../../plugins/xaps/device/device.ts'
import type { Arrival } from './apple.ts'
import { LINES_A_MINUTE, LoudLines } from './loud-lines.ts'
import {
  type Broken,
  generationIn,
  type Known,
  numberOf,
  type Promised,
  type Taken,
  tokenOf,
  unknownDevice,
  unsureKey,
} from './promises.ts'
import { MS, SECOND } from './scheduler.ts'

/** Two pushes of one device may be so much less than a window apart: from the decision on a claim to the push. */
const WINDOW_US = 5 * SECOND - 10 * MS

/** After claims did not work processes know of different ones, until the windows of these are over. */
const AGREED_AFTER_US = 10 * SECOND

/** How long the pushes of a dead process may be made once more. */
const TAKEN_OVER_US = 60 * SECOND

/** The plugin counts whole milliseconds. */
const EXACT_US = MS

export class Oracle {
  readonly broken: Broken[] = []
  readonly #now: () => number
  readonly #wallMs: () => number
  readonly #owners: readonly number[]
  readonly #devices: Known[]
  #taken: Taken[] = []
  /** The users that each process has had events of in its life. */
  readonly #heard = new Map<string, Set<number>>()
  /** Processes and devices: where a claim was not answered, the next one may find that very claim. */
  readonly #unsure = new Set<string>()
  #diedAt = Number.NEGATIVE_INFINITY
  readonly #pushedUnsure = new Set<Arrival>()
  readonly #lines: LoudLines
  /** Since when claims work, and clocks go on as they did. */
  #claimsSince = 0
  /** Events up to then may be taken for older or newer than they are, because of a clock that was set. */
  readonly #misread = { all: Number.NEGATIVE_INFINITY, away: Number.NEGATIVE_INFINITY }
  /** A clock has been set: of two registrations the older one may look newer. */
  #clocksJumped = false
  /** Processes about to end, which keep no window. */
  readonly hurried = new Set<string>()
  /** Whether pending pushes outlive their process. */
  readonly #survives: boolean

  constructor(
    owners: readonly number[],
    clock: { now(): number; wallMs(): number },
    { survives }: { readonly survives: boolean },
  ) {
    this.#owners = owners
    this.#now = clock.now
    this.#lines = new LoudLines(clock.now)
    this.#wallMs = clock.wallMs
    this.#survives = survives
    this.#devices = owners.map(unknownDevice)
  }

  breaks(promise: Promised, how: string): void {
    this.broken.push({ promise, atUs: this.#now(), how })
  }

  /** A clock was set: the minutes that are counted by it are over. */
  clockSet(): void {
    this.#clocksJumped = true
    this.#lines.forget()
  }

  /** Events of before the clock was set, and of the next `us` microseconds, are excused: all, or those that the store is late for. */
  misread(us: number, which: 'all' | 'away'): void {
    this.#misread[which] = Math.max(this.#misread[which], this.#now()) + us
  }

  /** Claims work from now on, or do not. */
  claimsWork(work: boolean): void {
    this.#claimsSince = work ? this.#now() : Number.POSITIVE_INFINITY
  }

  /** `process` has got no answer to a claim for `device`: until it has pushed it, it does so once more, to be sure. */
  unsure(process: string, device: number): void {
    this.#unsure.add(unsureKey({ process, token: tokenOf(device) }))
  }

  /** Events that no push has covered yet. */
  get open(): number {
    return this.#taken.length
  }

  /** `process` has taken an event of `user` at the time `at`. */
  took(process: string, user: number, at: number, what: string): void {
    const isOpen = ({ storedSince, coveredTo }: Known) =>
      storedSince !== undefined && storedSince <= at && coveredTo < at - EXACT_US
    const open = this.#owners.flatMap((owner, device) =>
      owner === user && isOpen(this.#devices[device] as Known) ? [device] : [],
    )
    this.#heard.set(process, (this.#heard.get(process) ?? new Set()).add(user))
    if (open.length > 0)
      this.#taken.push({
        at,
        takenAt: this.#now(),
        isAway: !Number.isFinite(this.#claimsSince),
        what,
        process,
        open,
      })
  }

  /** What a dead process had to do; `isOnDisk`: its journal was written, and is there still. */
  died(process: string, isOnDisk: boolean): void {
    this.#diedAt = this.#now()
    if (!this.#survives || !isOnDisk) this.lost(process)
    // What came in the very turn in which it died was not on disk yet.
    else this.#taken = this.#taken.filter(taken => taken.process !== process || taken.takenAt < this.#now())
    this.#lines.forget(process)
  }

  /** What it had to do is lost. It may have claimed a push that never was, for any user that it has heard of, and so have kept others from it. */
  lost(process: string): void {
    for (const [device, owner] of this.#owners.entries())
      if (this.#heard.get(process)?.has(owner)) this.#settle(device, () => true)
    this.#heard.delete(process)
  }

  /** A push has reached Apple. */
  arrived(arrival: Arrival): void {
    const { token, status, startedUs } = arrival
    if (this.#unsure.has(unsureKey(arrival))) this.#pushedUnsure.add(arrival)
    const known = this.#devices[numberOf(token)] as Known
    if (status === 400) known.refusedAt = Math.max(known.refusedAt, startedUs)
    if (status !== 200 && status !== 410 && status !== 400) return
    known.coveredTo = Math.max(known.coveredTo, startedUs)
    this.#settle(numberOf(token), taken => startedUs >= taken.at - EXACT_US)
  }

  /** The answer to it has reached its sender. */
  answered(arrival: Arrival): void {
    const known = this.#devices[numberOf(arrival.token)] as Known
    if (arrival.status === 410 && arrival.timestamp !== undefined)
      known.goneSince = Math.max(known.goneSince, arrival.timestamp)
    if (arrival.status !== 200) return
    const before = known.accepted
    known.accepted = before && before.startedUs > arrival.startedUs ? before : arrival
    if (before) this.#checkWindow(before, arrival)
    this.#unsure.delete(unsureKey(arrival))
  }

  #checkWindow(one: Arrival, other: Arrival): void {
    const [first, second] = one.startedUs < other.startedUs ? [one, other] : [other, one]
    const apart = second.startedUs - first.startedUs
    const isExcused =
      this.#claimsSince > second.startedUs - AGREED_AFTER_US ||
      this.hurried.has(second.process) ||
      [first, second].some(push => this.#pushedUnsure.has(push)) ||
      (this.#survives && this.#now() - this.#diedAt < TAKEN_OVER_US)
    if (apart < WINDOW_US && !isExcused)
      this.breaks(
        'window',
        `${second.process} pushed device ${numberOf(second.token)} ${apart / MS} ms after ${first.process}`,
      )
  }

  #settle(device: number, isCovered: (taken: Taken) => boolean): void {
    for (const taken of this.#taken)
      if (taken.open.includes(device) && isCovered(taken))
        taken.open = taken.open.filter(other => other !== device)
    this.#taken = this.#taken.filter(({ open }) => open.length > 0)
  }

  /** The phone has been told the topic. `at`: when it asked. */
  registered(device: number, generation: number, at: number): void {
    const known = this.#devices[device] as Known
    if ((known.answered?.generation ?? 0) < generation) known.answered = { generation, at }
  }

  /** What the store holds of a user from now on. */
  stored(user: number, devices: readonly Device[]): void {
    const present = new Map(devices.map(device => [numberOf(device.token), device]))
    for (const [device, owner] of this.#owners.entries()) {
      if (owner !== user) continue
      const known = this.#devices[device] as Known
      const found = present.get(device)
      const before = known.generation
      known.generation = found ? generationIn(found) : 0
      if (found) known.storedSince ??= this.#now()
      else if (known.storedSince !== undefined) {
        known.storedSince = undefined
        // Whoever is not registered needs no push.
        this.#settle(device, () => true)
        // A later one waits in the spool, perhaps.
        if (before >= (known.answered?.generation ?? 0)) this.#checkRemoval(device, known)
      }
    }
  }

  #checkRemoval(device: number, known: Known): void {
    if (!known.answered || this.#isRefused(known)) return
    this.breaks(
      known.goneSince > Number.NEGATIVE_INFINITY ? 'younger' : 'kept',
      `device ${device} was removed although it had registered at ${known.answered.at / SECOND} s`,
    )
  }

  /** Whether Apple has refused the last registration that was answered. The plugin's clock and Apple's agree but for jumps. */
  #isRefused({ answered, goneSince, refusedAt }: Known): boolean {
    if (!answered || this.#clocksJumped) return goneSince > 0 || refusedAt > 0
    const askedMs = this.#wallMs() - (this.#now() - answered.at) / MS
    return refusedAt >= answered.at - EXACT_US || goneSince >= Math.floor(askedMs) - 1
  }

  logged(process: string, level: Level, text: string, message: string): void {
    if (message.includes('please report this')) this.breaks('alive', `${process}: ${text}`)
    const count = this.#lines.add(process, level, text, message)
    if (count > LINES_A_MINUTE) this.breaks('quiet', `${process} said ${count} times: ${text}`)
  }

  /** All is well since `healedAt`, and has been for long: what should have come by now? */
  end({ pending, spooled }: { readonly pending: number; readonly spooled: number }): void {
    if (pending > 0 || spooled > 0)
      this.breaks('settled', `${pending} devices are pending, ${spooled} registrations in the spool`)
    for (const { what, at, process, open } of this.#taken.filter(
      taken => taken.at > this.#misread[taken.isAway ? 'away' : 'all'],
    ))
      this.breaks('covered', `${what} that ${process} took at ${at / SECOND} s has no push to device ${open}`)
    for (const [device, known] of this.#devices.entries()) this.#checkKept(device, known)
  }

  #checkKept(device: number, known: Known): void {
    const { answered, storedSince, generation } = known
    if (!answered) return
    if (storedSince === undefined && !this.#isRefused(known))
      this.breaks('kept', `device ${device} was told its topic, and is not in the store`)
    if (storedSince !== undefined && generation < answered.generation && !this.#clocksJumped)
      this.breaks('kept', `device ${device} was answered ${answered.generation}, the store has ${generation}`)
  }
}
