/**
 * What one process sees of its own work: each decision and verdict is counted, has its line in the log, and is remembered for
 * the next report. The stages tell it, and know nothing of who asks.
 */

import type { Clock } from '../base/clock.ts'
import { type Fields, type Log, maskToken, maskUser } from '../base/log.ts'
import { DECISIONS, type Decision, type RegistrationOutcome } from './decisions.ts'
import { Metrics, type Sums } from './metrics.ts'
import { type AppleState, type Decided, MOST_DECIDED, type Report, type StoreState } from './report.ts'

/** Mails by name: uuids of Haraka's, sessions of Dovecot's. */
export interface Mails {
  /** Of all events, those without a name too. */
  readonly count: number
  /** The first ones, as many as MOST_NAMED. */
  readonly names: readonly string[]
}

export const NO_MAILS: Mails = { count: 0, names: [] }

/** As many of the mails that a push is for stand in its line; the others have a line of their own that says what they wait for. */
const MOST_NAMED = 8

export function mailsOf(name: string | undefined): Mails {
  return { count: 1, names: name === undefined ? [] : [name] }
}

export function bothMails(a: Mails, b: Mails): Mails {
  if (a.count === 0 || b.count === 0) return a.count === 0 ? b : a
  return { count: a.count + b.count, names: [...a.names, ...b.names].slice(0, MOST_NAMED) }
}

/** What a decision is about. */
export interface Subject {
  /** Canonical user name. */
  readonly user: string
  /** The device token, where a device is meant. */
  readonly token?: string | undefined
  /** A flag, a move or a deletion, not a mail: its line has level debug. */
  readonly isChange?: boolean
  readonly mails: Mails
}

/** A push that Apple has answered, or not. */
export interface Pushed extends Subject {
  readonly token: string
  /** The kind of Apple's verdict. */
  readonly verdict: string
  /** Apple's name for the push. */
  readonly apnsId: string | undefined
  /** When it started, ms since the epoch. */
  readonly startedAt: number
  /** When the oldest mail that it is for came, ms since the epoch; infinity where it is for changes alone. */
  readonly mailAt: number
  /** The mails that had no decision before it. */
  readonly fresh: Mails
}

type Changing<T> = { -readonly [Key in keyof T]: T[Key] }

export class Observer {
  readonly #log: Log
  readonly #clock: Clock
  readonly #metrics = new Metrics()
  readonly #startedAt: number
  #apple: Changing<AppleState> = {}
  #store: StoreState = {}
  /** By user, since the last report. */
  #decided = new Map<string, Decided>()

  constructor(log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
    this.#startedAt = clock.now()
  }

  get sums(): Sums {
    return this.#metrics.sums
  }

  /** What has become of mails or notifications of a user. */
  decided(decision: Decision, subject: Subject): void {
    const { isChange = false, mails } = subject
    this.#metrics.count('xaps_decisions_total', decision, mails.count)
    if (!isChange) this.#remember(decision, subject)
    this.#log[isChange ? 'debug' : 'info'](DECISIONS[decision], fieldsOf(subject, mails, decision))
  }

  /** `count` recipients of a mail have no user here. */
  noUser(decision: 'relayed' | 'unknown_user', count: number, mail: string | undefined): void {
    this.#metrics.count('xaps_decisions_total', decision, count)
    this.#log.info(DECISIONS[decision], {
      decision,
      recipients: count,
      ...(mail === undefined ? {} : { mail }),
    })
  }

  /** A push is over, or has failed once. An accepted one has its line here, others where their consequence is drawn. */
  pushed(push: Pushed): void {
    const { verdict, startedAt, mailAt, fresh, apnsId } = push
    const now = this.#clock.now()
    this.#metrics.count('xaps_pushes_total', verdict)
    this.#metrics.observe('xaps_push_duration_seconds', now - startedAt)
    if (verdict !== 'sent') return
    if (Number.isFinite(mailAt)) {
      this.#metrics.observe('xaps_delivery_to_apple_seconds', startedAt - mailAt)
      this.#remember('pushed', push)
    }
    this.#apple.acceptedAt = now
    const fields = fieldsOf(push, push.mails, fresh.count > 0 ? 'pushed' : undefined)
    if (fresh.count > 0) this.#metrics.count('xaps_decisions_total', 'pushed', fresh.count)
    if (apnsId !== undefined) fields.apns_id = apnsId
    fields.ms = now - startedAt
    this.#log.info('push accepted by Apple', fields)
  }

  /** A push has failed for another reason than its device. */
  failed(reason: string): void {
    this.#apple = { ...this.#apple, failedAt: this.#clock.now(), failure: reason }
  }

  /** Pushes wait for `trouble` from now on, or do not any more. */
  apple(trouble: string | undefined): void {
    const { trouble: before, troubleSince = this.#clock.now(), ...rest } = this.#apple
    if (trouble === before) return
    this.#apple = trouble === undefined ? rest : { ...rest, trouble, troubleSince }
  }

  registered(outcome: RegistrationOutcome): void {
    this.#metrics.count('xaps_registrations_total', outcome)
  }

  /** An operation of the device store took `ms` milliseconds, and has failed where there is a `failure`. */
  storeOperation(operation: string, ms: number, failure?: string): void {
    this.#metrics.observe('xaps_store_operation_seconds', ms, operation)
    const up = failure === undefined
    if (up === this.#store.up) return
    this.#store = { up, since: this.#clock.now(), ...(failure === undefined ? {} : { failure }) }
  }

  /** All of it so far, and what was decided since the last report, which is then forgotten. */
  report(pending: number, certificateEnds: number | undefined): Omit<Report, 'process'> {
    const decided = [...this.#decided.values()]
    this.#decided = new Map()
    const apple = { ...this.#apple, ...(certificateEnds === undefined ? {} : { certificateEnds }) }
    return {
      pid: process.pid,
      startedAt: this.#startedAt,
      at: this.#clock.now(),
      sums: this.#metrics.sums,
      pending,
      apple,
      store: this.#store,
      decided,
    }
  }

  #remember(decision: Decision, { user, mails }: Subject): void {
    const name = mails.names.at(-1)
    const at = this.#clock.now()
    this.#decided.delete(user)
    if (this.#decided.size >= MOST_DECIDED) return
    this.#decided.set(user, name === undefined ? { user, decision, at } : { user, decision, at, mail: name })
  }
}

/** Made field by field: each push has a line, whether it is written or not. */
function fieldsOf({ user, token }: Subject, { count, names }: Mails, decision?: Decision): Changing<Fields> {
  const fields: Changing<Fields> = {}
  if (decision !== undefined) fields.decision = decision
  fields.user = maskUser(user)
  if (token !== undefined) fields.token = maskToken(token)
  if (names.length > 0) fields.mail = names.join(',')
  if (count > 1) fields.mails = count
  return fields
}
