/**
 * The way of one due device: claim → push → verdict → what follows from it. Holds the queue of due devices, the bound
 * on pushes under way, and the gate. Where the store cannot be asked, it pushes: one push too many costs a fetch, one
 * too few costs the mail its notice.
 */

import { type Clock, systemClock } from '../clock.ts'
import type { Claim, ClaimRequest } from '../device/store.ts'
import type { MailEvent } from '../event.ts'
import { type Log, maskToken, maskUser, reasonOf } from '../log.ts'
import { APPLE_BACKOFF, backoffMs } from './backoff.ts'
import { Coalescer, type Entry, type Rule, type Wanted } from './coalesce.ts'
import { Gate } from './gate.ts'
import { makePush, type PushSettings } from './payload.ts'
import type { Settler, Target } from './settle.ts'
import type { Transport } from './transport.ts'
import { type Verdict, verdictOf } from './verdict.ts'

export interface SenderSettings extends Rule, PushSettings {
  readonly max_in_flight: number
  /** How long events wait for a push that cannot be sent, in milliseconds. */
  readonly keepForMs: number
}

export interface SenderParts {
  readonly transport: Transport
  readonly claim: (push: string, request: ClaimRequest) => Promise<Claim>
  readonly settler: Settler
  readonly log: Log
  /** Told of every push that Apple accepted. */
  readonly accepted: () => void
  readonly random?: () => number
}

export class Sender {
  readonly #settings: SenderSettings
  readonly #parts: SenderParts
  readonly #clock: Clock
  readonly #coalescer: Coalescer<Target>
  readonly #gate: Gate
  readonly #ready: Queue<Entry<Target>> = new Queue()
  #underWay = 0
  #hurry = false
  #storeAway = false
  #idle: (() => void) | undefined

  constructor(settings: SenderSettings, parts: SenderParts, clock: Clock = systemClock) {
    this.#settings = settings
    this.#parts = parts
    this.#clock = clock
    this.#gate = new Gate(parts.log, () => this.#pump(), clock, parts.random)
    this.#coalescer = new Coalescer(settings, entry => this.#enqueue(entry), clock)
  }

  /** How many devices wait for a push or are being pushed. */
  get pending(): number {
    return this.#coalescer.pending
  }

  /** Something happened that `target` is to be told of. */
  add(target: Target, event: Pick<MailEvent, 'kind' | 'at'>): void {
    this.#coalescer.add(nameOf(target), target, event)
  }

  /** The credentials were renewed: what waited because of the old ones is tried now. */
  mended(): void {
    this.#gate.reset()
  }

  /** Pushes what is pending without waiting for windows to end; resolves when all is done or `ms` are over. */
  async drain(ms: number): Promise<void> {
    this.#hurry = true
    this.#coalescer.hurry()
    if (this.pending === 0) return
    await new Promise<void>(resolve => {
      const timer = this.#clock.after(ms, resolve)
      this.#idle = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  close(): void {
    this.#gate.close()
  }

  #enqueue(entry: Entry<Target>): void {
    this.#ready.push(entry)
    this.#pump()
  }

  /** Starts as many pushes as may be under way now. */
  #pump(): void {
    while (this.#ready.size > 0 && this.#underWay < this.#limit() && this.#gate.pass(this.#underWay)) {
      const entry = this.#ready.shift()
      if (entry) this.#start(entry)
    }
  }

  #limit(): number {
    return Math.min(this.#settings.max_in_flight, this.#parts.transport.streams())
  }

  #start(entry: Entry<Target>): void {
    this.#underWay += 1
    this.#coalescer.begin(entry)
    this.#push(entry)
      .catch((error: unknown) => this.#giveUp(entry, error))
      .finally(() => this.#ended())
  }

  #ended(): void {
    this.#underWay -= 1
    if (this.#underWay === 0 && this.#ready.size === 0) this.#gate.caughtUp()
    this.#pump()
    if (this.#idle && this.pending === 0) this.#idle()
  }

  /** A fault in our own code must not stop the queue, nor be tried for ever. */
  #giveUp(entry: Entry<Target>, error: unknown): void {
    this.#parts.log.error('a push failed inside the plugin; please report this', { cause: reasonOf(error) })
    this.#coalescer.drop(entry)
  }

  async #push(entry: Entry<Target>): Promise<void> {
    const asked = entry.wanted?.newest ?? 0
    if (this.#tooOld(entry)) return
    const claim = await this.#claim(entry, asked)
    if (claim.kind === 'wait') return this.#coalescer.wait(entry, claim.ms)
    if (claim.kind === 'covered') return this.#coalescer.done(entry, asked)
    entry.held = claim.id
    const startedAt = this.#clock.now()
    const taken = this.#coalescer.take(entry)
    const { target } = entry
    const answer = await this.#parts.transport.send(makePush(target.device, this.#settings, startedAt))
    const verdict = verdictOf(answer, startedAt)
    this.#act(entry, verdict, taken, startedAt)
    await this.#parts.settler.settle(target, verdict)
  }

  #tooOld(entry: Entry<Target>): boolean {
    const oldest = entry.wanted?.oldest ?? 0
    if (this.#clock.now() - oldest <= this.#settings.keepForMs) return false
    this.#parts.log.notice(
      'a push that could not be sent is dropped: older than [push] keep_for',
      who(entry.target),
    )
    this.#coalescer.drop(entry)
    return true
  }

  async #claim(entry: Entry<Target>, asked: number): Promise<Claim> {
    const windowMs = this.#hurry ? 0 : this.#settings.windowMs
    const held = entry.held === undefined ? {} : { held: entry.held }
    try {
      const claim = await this.#parts.claim(entry.key, {
        ageMs: this.#clock.now() - asked,
        windowMs,
        ...held,
      })
      this.#storeAway = false
      return claim
    } catch (error) {
      if (!this.#storeAway) {
        this.#parts.log.warn('the device store does not answer; pushing without asking other processes', {
          cause: reasonOf(error),
        })
      }
      this.#storeAway = true
      return { kind: 'granted', id: 0 }
    }
  }

  /** What follows from `verdict`, but for the store. */
  #act(entry: Entry<Target>, verdict: Verdict, taken: Wanted, startedAt: number): void {
    if (verdict.kind === 'broken') return this.#tryAgain(entry, taken, startedAt, 'connection', verdict.cause)
    if (verdict.kind === 'refused' && verdict.fault === 'setup') {
      return this.#tryAgain(entry, taken, startedAt, 'setup', verdict.reason)
    }
    if (verdict.kind === 'later' && verdict.all) {
      return this.#tryAgain(entry, taken, startedAt, 'busy', verdict.reason, verdict.afterMs)
    }
    this.#gate.answered()
    if (verdict.kind === 'sent') return this.#sent(entry, startedAt)
    if (verdict.kind === 'later') return this.#waitForDevice(entry, taken, verdict.afterMs)
    this.#parts.log.debug('Apple refuses a device', { ...who(entry.target), verdict: verdict.kind })
    this.#coalescer.done(entry, startedAt)
  }

  #sent(entry: Entry<Target>, startedAt: number): void {
    this.#parts.accepted()
    this.#parts.log.info('push accepted by Apple', {
      ...who(entry.target),
      ms: this.#clock.now() - startedAt,
    })
    this.#coalescer.done(entry, startedAt)
  }

  /** Apple asks to leave this device alone for a while; each time for longer. */
  #waitForDevice(entry: Entry<Target>, taken: Wanted, afterMs: number | undefined): void {
    entry.failures += 1
    const doubled = backoffMs(entry.failures, APPLE_BACKOFF, this.#parts.random)
    this.#coalescer.wait(entry, Math.max(afterMs ?? 0, doubled), taken)
  }

  #tryAgain(
    entry: Entry<Target>,
    taken: Wanted,
    startedAt: number,
    kind: 'connection' | 'busy' | 'setup',
    cause: string,
    afterMs?: number,
  ): void {
    this.#gate.failed({ kind, cause, ...(afterMs === undefined ? {} : { afterMs }) }, startedAt)
    this.#coalescer.retry(entry, taken)
  }
}

/** The name of a device's pushes: the same in every process. */
function nameOf({ device }: Target): string {
  return `${device.account}/${device.token}`
}

function who({ user, device }: Target): { user: string; token: string } {
  return { user: maskUser(user), token: maskToken(device.token) }
}

/** First in, first out, in constant time. */
class Queue<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  push(item: T): void {
    this.#items.push(item)
  }

  shift(): T | undefined {
    const item = this.#items[this.#head]
    this.#items[this.#head] = undefined
    this.#head += 1
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }
}
