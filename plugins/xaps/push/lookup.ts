/**
 * An event names a user; a push needs devices. At most one lookup per event, and while the store does not answer one
 * entry per user that waits until it does. Knows nothing of how or when the devices are pushed.
 */

import { Backoff } from '../base/backoff.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { type Log, maskUser, reasonOf } from '../base/log.ts'
import { TransitionLog } from '../base/transition-log.ts'
import { DamagedRecord, isOfOneUser } from '../device/codec.ts'
import type { Device } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import { withoutSuperseded } from '../device/superseded.ts'
import type { MailEvent } from '../event.ts'
import type { Decision } from '../observe/decisions.ts'
import { mailsOf, type Observer } from '../observe/observer.ts'
import type { PendingUsers } from './coalesce.ts'
import type { LeftUser } from './journal.ts'
import type { Target } from './settle.ts'

/**
 * How many lookups at a time make up for an outage of the store, which has just come back, or of a process; and how many
 * begin in one turn of the event loop: a store that answers at once would else hold up all the mail.
 */
const AT_ONCE = 50

export interface LookupParts {
  /** Called for every device of an event's user that is worth a push. */
  readonly found: (target: Target, event: MailEvent) => void
  readonly observer: Pick<Observer, 'decided'>
  readonly journal: PendingUsers
}

export class Lookup {
  readonly #store: Pick<DeviceStore, 'devices'>
  readonly #parts: LookupParts
  readonly #rule: { readonly keepForMs: number }
  readonly #log: Log
  readonly #clock: Clock
  readonly #transitions: TransitionLog
  /** Events whose devices are not known yet: of each user the newest, as urgent as the most urgent. */
  readonly #waiting = new Map<string, MailEvent>()
  /** How often the store has failed in a row; while it is away nothing but one probe at a time goes to it. */
  readonly #backoff = new Backoff()
  /** Set until the next probe. */
  #timer: Timer | undefined
  /** How often the store has said that it answers again. */
  #timesBack = 0
  #underWay = 0
  /** How many of those that waited may begin in this turn; the timer is set until the next where there are more. */
  #startable = AT_ONCE
  #nextTurn: Timer | undefined
  #closed = false
  #idle: (() => void)[] = []

  /** Drops events that had to wait for longer than `keepForMs`. */
  constructor(
    store: Pick<DeviceStore, 'devices'>,
    parts: LookupParts,
    rule: { readonly keepForMs: number },
    log: Log,
    clock: Clock,
  ) {
    this.#store = store
    this.#parts = parts
    this.#rule = rule
    this.#log = log
    this.#clock = clock
    this.#transitions = new TransitionLog('answers', clock)
  }

  /** How many users wait for the store. */
  get waiting(): number {
    return this.#waiting.size
  }

  /**
   * Never throws and returns at once; while the store is away the event is only noted. `known`: the user's devices,
   * where they have just been looked up.
   */
  submit(event: MailEvent, known?: readonly Device[]): void {
    if (this.#closed) return
    if (known) this.#tell(event, known)
    else if (this.#backoff.failures > 0 || this.#waiting.has(event.user)) {
      this.#note(event)
      this.#decide('waits_store', event)
    } else void this.#look(event)
  }

  /** A user's events were pending in a process that has ended. */
  resume({ user, at }: LeftUser): void {
    const now = this.#clock.now()
    const event = { user, kind: 'new', at: now } as const
    if (now - at > this.#rule.keepForMs) this.#decide('expired', event)
    else {
      this.#note(event)
      if (this.#backoff.failures === 0) this.#catchUp()
    }
  }

  /** The store says that it answers again: it is asked now, and if it fails all the same, soon again. */
  storeIsBack(): void {
    this.#timesBack += 1
    if (!this.#timer) return
    this.#timer.cancel()
    this.#backoff.reset()
    // Until the probe is answered events are only noted.
    this.#backoff.next()
    this.#probe()
  }

  /** Resolves when every lookup that was started is over. */
  async settled(): Promise<void> {
    if (!this.#isIdle()) await new Promise<void>(resolve => this.#idle.push(resolve))
  }

  /** Takes no more events and forgets those that wait for the store. */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#nextTurn?.cancel()
    this.#transitions.close()
    this.#waiting.clear()
  }

  /** Never rejects; the event is noted when the store does not answer. */
  async #look(event: MailEvent, waited = false): Promise<void> {
    this.#underWay += 1
    this.#parts.journal.enter(event.user)
    const timesBack = this.#timesBack
    let devices: readonly Device[] | undefined
    try {
      devices = await this.#devicesOf(event.user)
      this.#storeAnswers()
    } catch (error) {
      this.#note(event)
      if (!waited) this.#decide('waits_store', event)
      this.#storeIsAway(reasonOf(error), timesBack)
    }
    this.#underWay -= 1
    if (devices) this.#tell(event, devices)
    this.#parts.journal.leave(event.user)
    this.#goOn()
  }

  #isIdle(): boolean {
    return this.#underWay === 0 && !this.#nextTurn
  }

  #goOn(): void {
    if (this.#backoff.failures === 0) this.#catchUp()
    if (this.#isIdle()) for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Rejects when the store does not answer: what it has for this user alone may be of no use. */
  async #devicesOf(user: string): Promise<readonly Device[]> {
    try {
      return await this.#store.devices(user)
    } catch (error) {
      if (!isOfOneUser(error)) throw error
      if (error instanceof DamagedRecord)
        this.#log.error('the stored devices of a user are damaged; the next registration replaces them', {
          user: maskUser(user),
        })
      return []
    }
  }

  #tell(event: MailEvent, devices: readonly Device[]): void {
    const { user } = event
    const live = withoutSuperseded(devices, this.#clock.now())
    for (const device of live) this.#parts.found({ user, device }, event)
    if (devices.length === 0) this.#decide('no_device', event)
    for (const device of devices) if (!live.includes(device)) this.#decide('superseded', event, device)
  }

  #decide(decision: Decision, { user, kind, mail }: MailEvent, device?: Device): void {
    const isChange = kind === 'change'
    this.#parts.observer.decided(decision, { user, token: device?.token, isChange, mails: mailsOf(mail) })
  }

  #note(event: MailEvent): void {
    if (this.#closed) return
    const known = this.#waiting.get(event.user)
    if (!known) this.#parts.journal.enter(event.user)
    const kind = known?.kind === 'new' ? 'new' : event.kind
    this.#waiting.set(event.user, { ...event, kind, at: Math.max(event.at, known?.at ?? 0) })
  }

  #storeAnswers(): void {
    this.#transitions.to('answers', counted =>
      this.#log.notice('the device store answers again', {
        users_waiting: this.#waiting.size,
        ...counted,
      }),
    )
    this.#backoff.reset()
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Of many lookups that fail together the first one counts; one that began before the store was back starts afresh. */
  #storeIsAway(cause: string, timesBack: number): void {
    if (this.#timer || this.#closed) return
    if (timesBack !== this.#timesBack) this.#backoff.reset()
    this.#transitions.to('away', counted =>
      this.#log.warn('the device store does not answer; pushes wait for it', { cause, ...counted }),
    )
    this.#timer = this.#clock.after(this.#backoff.next(), () => this.#probe())
  }

  /** Asks for one of the users that wait; with none the next event is the probe. */
  #probe(): void {
    this.#timer = undefined
    const event = this.#next()
    if (event) void this.#look(event, true)
    else this.#backoff.reset()
  }

  /** Looks up the users that wait, some at a time: every lookup that ends starts the next. */
  #catchUp(): void {
    while (this.#waiting.size > 0 && this.#underWay < AT_ONCE && this.#startable > 0) {
      this.#startable -= 1
      const event = this.#next()
      if (event) void this.#look(event, true)
    }
    if (this.#waiting.size > 0 && this.#startable === 0)
      this.#nextTurn ??= this.#clock.after(0, () => {
        this.#nextTurn = undefined
        this.#startable = AT_ONCE
        this.#goOn()
      })
  }

  /** Removes the first event that waits; those older than `keep_for` are dropped. */
  #next(): MailEvent | undefined {
    for (const [user, event] of this.#waiting) {
      this.#waiting.delete(user)
      this.#parts.journal.leave(user)
      if (this.#clock.now() - event.at <= this.#rule.keepForMs) return event
      this.#decide('expired', event)
    }
    return undefined
  }
}
