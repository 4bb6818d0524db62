/**
 * The way of one due device: claim → push → verdict → what follows from it. Holds the queue of due devices, the bound
 * on pushes under way, and the circuit breaker. Knows neither connections nor how a store works.
 */

import type { Transport } from '../apns/transport.ts'
import type { Verdict } from '../apns/verdict.ts'
import { backoffMs, STANDARD_BACKOFF } from '../base/backoff.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { Queue } from '../base/queue.ts'
import { pushNameOf } from '../device/device.ts'
import type { Claim, DeviceStore } from '../device/store.ts'
import type { Decision } from '../observe/decisions.ts'
import { type Mails, mailsOf, NO_MAILS, type Observer } from '../observe/observer.ts'
import { CircuitBreaker } from './breaker.ts'
import { Claiming } from './claiming.ts'
import { Coalescer, type Entry, type PendingUsers } from './coalesce.ts'
import { consequenceOf, inWords } from './consequences.ts'
import type { DeviceEvent, Rule } from './rule.ts'
import { masked, type Settler, type Target } from './settle.ts'

const NO_NEED: Claim = { kind: 'covered' }

export interface SenderSettings extends Rule {
  readonly maxInFlight: number
  /** How long events wait for a push that cannot be sent, in milliseconds. */
  readonly keepForMs: number
}

export interface SenderParts {
  readonly transport: Pick<Transport, 'push' | 'mayPush'>
  readonly store: Pick<DeviceStore, 'claim'>
  readonly settler: Pick<Settler, 'settle'>
  readonly journal: PendingUsers
  readonly observer: Pick<Observer, 'decided' | 'pushed' | 'failed' | 'apple'>
  readonly log: Log
  readonly random?: () => number
}

export class Sender {
  readonly #settings: SenderSettings
  readonly #parts: SenderParts
  readonly #clock: Clock
  readonly #coalescer: Coalescer
  readonly #claiming: Claiming
  readonly #breaker: CircuitBreaker
  /** Entries that are due, in this order. */
  readonly #ready = new Queue<Entry>()
  /** How many are on their way, from the claim to the end. */
  #inFlight = 0
  #closed = false
  #idle: (() => void) | undefined

  constructor(settings: SenderSettings, parts: SenderParts, clock: Clock = systemClock) {
    const { log, random, observer } = parts
    this.#settings = settings
    this.#parts = parts
    this.#clock = clock
    this.#claiming = new Claiming(parts.store, log, clock)
    this.#breaker = new CircuitBreaker(
      {
        resume: () => this.#pushDue(),
        waiting: () => this.#ready.size,
        changed: trouble => observer.apple(trouble),
        log,
        random,
      },
      clock,
    )
    this.#coalescer = new Coalescer(settings, entry => this.#enqueue(entry), parts.journal, clock)
  }

  /** How many devices wait for a push or are being pushed. */
  get pending(): number {
    return this.#coalescer.pending
  }

  /** Something happened that `target` is to be told of. */
  add(target: Target, event: DeviceEvent): void {
    if (this.#closed) return
    const name = pushNameOf(target.device)
    if (this.#claiming.covers(name, event.at)) {
      const isChange = event.kind === 'change'
      return this.#say('covered', target, mailsOf(event.mail), isChange)
    }
    const entry = this.#coalescer.add(name, target, event)
    const waits = this.#waitOf(entry)
    if (waits) this.#decide(entry, waits)
  }

  /** Tries at once what waits for Apple: the credentials were renewed. */
  retryNow(): void {
    this.#breaker.tryNow()
  }

  /** The settings are other ones: what waits does so no longer than they say. */
  settingsChanged(): void {
    this.#coalescer.ruleChanged()
    this.#pushDue()
  }

  /** From now on pushes without waiting for windows or delays, and tries once more where Apple did not answer. */
  hurry(): void {
    this.#coalescer.hurry()
    this.#breaker.tryNow()
  }

  /** Resolves when nothing is pending or under way. */
  async drain(): Promise<void> {
    if (this.#isIdle()) return
    await new Promise<void>(resolve => {
      this.#idle = resolve
    })
  }

  /** Starts no more pushes and takes no more events; pending ones are forgotten. */
  close(): void {
    this.#closed = true
    this.#breaker.close()
    this.#claiming.close()
    this.#coalescer.close()
  }

  #isIdle(): boolean {
    return this.pending === 0 && this.#inFlight === 0
  }

  #enqueue(entry: Entry): void {
    this.#ready.push(entry)
    this.#pushDue()
  }

  #pushDue(): void {
    while (this.#ready.size > 0 && this.#inFlight < this.#settings.maxInFlight && !this.#closed) {
      if (!this.#breaker.pass(this.#inFlight)) return
      const entry = this.#ready.shift()
      if (entry) void this.#push(entry)
    }
  }

  /** With the store's leave `entry` is pushed. Never rejects. */
  async #push(entry: Entry): Promise<void> {
    this.#inFlight += 1
    try {
      const claim = await this.#claimFor(entry)
      if (claim.kind === 'covered') this.#drop(entry, 'covered')
      else if (claim.kind === 'wait') this.#rest(entry, 'waits_window', claim.ms)
      // Since the claim was asked for, pushes have come to wait for Apple, or the end has come.
      else if (this.#breaker.open || this.#closed) this.#rest(entry, 'waits_apple', 0)
      else await this.#send(entry)
    } catch (error) {
      this.#giveUp(entry, error)
    }
    this.#inFlight -= 1
    this.#pushDue()
    if (this.#idle && this.#isIdle()) this.#idle()
  }

  #claimFor(entry: Entry): Claim | Promise<Claim> {
    const newest = this.#coalescer.begin(entry)
    if (this.#isPointless(entry, newest)) return NO_NEED
    return this.#claiming.ask(entry, newest, this.#coalescer.windowMs)
  }

  async #send(entry: Entry): Promise<void> {
    const { target } = entry
    const startedAt = this.#coalescer.start(entry)
    const verdict = await this.#parts.transport.push(target.device)
    this.#followUp(entry, verdict, startedAt)
    const settling = this.#parts.settler.settle(target, verdict, startedAt)
    if (settling) await settling
  }

  /** A fault in our own code must not stop the queue, nor be tried for ever. */
  #giveUp(entry: Entry, error: unknown): void {
    this.#parts.log.error('a push failed inside the plugin; please report this', { cause: reasonOf(error) })
    if (entry.state === 'busy') this.#coalescer.done(entry)
  }

  /** Whether a push for events up to `newest` is not worth the try any more. */
  #isPointless(entry: Entry, newest: number): boolean {
    const { device } = entry.target
    const isOld = this.#clock.now() - newest > this.#settings.keepForMs
    if (!isOld && this.#parts.transport.mayPush(device)) return false
    // Those that have waited are dropped with a line of their own.
    entry.inFlight = entry.inFlight && { ...entry.inFlight, fresh: entry.inFlight.mails }
    this.#decide(entry, isOld ? 'expired' : 'other_topic')
    return true
  }

  /** Why the events of `entry` wait; undefined when a push for them is about to be made. */
  #waitOf({ state, failures, notBefore, pending }: Entry): Decision | undefined {
    if (state === 'ready' && this.#breaker.open) return 'waits_apple'
    if (state !== 'resting') return undefined
    if (failures > 0) return 'waits_apple'
    return pending && pending.due > notBefore ? 'waits_change' : 'waits_window'
  }

  /** Tells what has become of the events of `entry` that nothing had been decided of. */
  #decide(entry: Entry, decision: Decision): void {
    const { mails, isChange } = this.#coalescer.takeFresh(entry)
    if (mails.count > 0) this.#say(decision, entry.target, mails, isChange)
  }

  #say(decision: Decision, { user, device }: Target, mails: Mails, isChange: boolean): void {
    this.#parts.observer.decided(decision, { user, token: device.token, mails, isChange })
  }

  /** The events of `entry` need no push any more. */
  #drop(entry: Entry, decision: Decision): void {
    this.#decide(entry, decision)
    this.#coalescer.done(entry)
  }

  #rest(entry: Entry, decision: Decision, ms: number): void {
    this.#decide(entry, decision)
    this.#coalescer.wait(entry, ms)
  }

  /** Applies the table of consequences to the breaker and to the device's entry. */
  #followUp(entry: Entry, verdict: Verdict, startedAt: number): void {
    const { entry: next, breaker } = consequenceOf(verdict)
    this.#breaker.settle(verdict, startedAt)
    this.#tell(entry, verdict, startedAt)
    if (breaker !== 'answered') this.#parts.observer.failed(inWords(verdict))
    if (next === 'retry') this.#rest(entry, 'waits_apple', 0)
    else if (next === 'backOff') this.#backOff(entry, verdict)
    else {
      this.#claiming.pushed(entry.key, startedAt, this.#coalescer.windowMs)
      this.#drop(entry, 'refused')
    }
  }

  /** This device alone is left in peace for a while; each time for longer. */
  #backOff(entry: Entry, { reason, afterMs = 0 }: Verdict): void {
    entry.failures += 1
    const doubled = backoffMs(entry.failures, STANDARD_BACKOFF, this.#parts.random)
    this.#parts.log.debug('a push is tried again', { ...masked(entry.target), reason })
    this.#rest(entry, 'waits_apple', Math.max(afterMs, doubled))
  }

  #tell(entry: Entry, { kind: verdict, id: apnsId }: Verdict, startedAt: number): void {
    const { user, device } = entry.target
    const { mails = NO_MAILS, mailAt = Number.POSITIVE_INFINITY } = entry.inFlight ?? {}
    const fresh = verdict === 'sent' ? this.#coalescer.takeFresh(entry).mails : NO_MAILS
    const { token } = device
    this.#parts.observer.pushed({ user, token, mails, fresh, verdict, apnsId, startedAt, mailAt })
  }
}
