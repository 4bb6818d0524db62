/**
 * The plugin in one of Haraka's processes, whichever it is: takes deliveries, ends in order. A failure here is logged, and mail
 * goes on.
 */

import { type Log, reasonOf } from '../base/log.ts'
import { pushSources } from '../config/config.ts'
import { confirmedByDelivered, confirmedByQueueOk } from '../delivery/confirmed.ts'
import { type Delivery, type DeliverySide, type LocalReport, openDeliverySide } from '../service.ts'
import type { Settings } from '../settings.ts'
import { shareSums } from './prometheus.ts'
import { finishWorkers, onTermination } from './termination.ts'
import type { Connection, DeliveredParams, Hmail, Plugin } from './types.ts'

/** Deliveries that a worker keeps until it knows its settings; a second's worth and more. */
export const MOST_WAITING = 10_000

/** What the primary does beside. */
export interface PrimaryPart {
  start(): void
  /** Never rejects. */
  stop(): Promise<void>
}

export class HarakaProcess {
  readonly #plugin: Plugin
  readonly #log: Log
  readonly #primary: PrimaryPart | undefined
  #isReady = false
  /** Undefined until they are known, and where push is off. */
  #settings: Settings | undefined
  /** Whether the hooks push; undefined until it is known. */
  #pushes: boolean | undefined
  /** Opened when Haraka is ready and the hooks are known to push. */
  #deliveries: DeliverySide | undefined
  /** Deliveries from before that, in their order. */
  #waiting: Delivery[] = []
  #ending: Promise<void> | undefined

  constructor(plugin: Plugin, log: Log, primary?: PrimaryPart) {
    this.#plugin = plugin
    this.#log = log
    this.#primary = primary
    onTermination(() => this.#end())
  }

  /**
   * Works with these settings from now on. Undefined where push is off, which the primary has logged. Where Dovecot is the source
   * of new mail the hooks push nothing.
   */
  use(settings: Settings | undefined): void {
    this.#settings = settings
    this.#pushes = settings !== undefined && pushSources(settings.config).newMail === 'haraka'
    if (!this.#pushes) this.#waiting = []
    if (settings) this.#caught(() => this.#deliveries?.takeUp(settings))
    this.#openDeliveries()
  }

  /** Haraka listens and has dropped its privileges; in the primary, it is about to start its workers. */
  ready(): void {
    this.#isReady = true
    this.#primary?.start()
    this.#openDeliveries()
  }

  #openDeliveries(): void {
    const settings = this.#settings
    if (!this.#isReady || !settings || !this.#pushes || this.#deliveries) return
    this.#caught(() => {
      const deliveries = openDeliverySide(settings, this.#plugin.config, this.#log)
      this.#deliveries = deliveries
      for (const delivery of this.#waiting.splice(0)) deliveries.push(delivery)
      shareSums(deliveries.sums, this.#log)
    })
  }

  /** Pushes to the recipients that a `delivered` hook stands for. Returns at once. */
  delivered(hmail: Hmail, params: DeliveredParams): void {
    this.#caught(() => {
      const [, , response, , , mode, okRecips] = params
      const { uuid: mail, rcpt_to } = hmail.todo
      this.push({ recipients: confirmedByDelivered(mode, okRecips, rcpt_to, response), mode, mail })
    })
  }

  /** The mail that a `queue_ok` hook stands for; undefined when it is not the hook that confirms. */
  forwarded({ transaction }: Connection): Omit<Delivery, 'at'> | undefined {
    if (!transaction || this.#pushes === false) return undefined
    return this.#caught(() => {
      const recipients = confirmedByQueueOk(transaction)
      if (recipients.length === 0) return undefined
      transaction.results.add(this.#plugin, { pass: `delivered to ${recipients.length}` })
      return { recipients, mode: 'SMTP', mail: transaction.uuid }
    })
  }

  /** Pushes to the users behind the recipients of `mail`. Returns at once. */
  push(mail: Omit<Delivery, 'at'>): void {
    if (mail.recipients.length === 0 || this.#ending || this.#pushes === false) return
    const delivery = { ...mail, at: Date.now() }
    if (this.#deliveries) this.#caught(() => this.#deliveries?.push(delivery))
    else if (this.#waiting.length < MOST_WAITING) this.#waiting.push(delivery)
  }

  /** What this process has pushed, undefined where its hooks push nothing. Decisions are told once. */
  report(): LocalReport | undefined {
    return this.#deliveries?.report()
  }

  /** Before 3.1.7 Haraka calls this in the primary of a cluster alone, and its workers die with it some time later. */
  shutdown(): void {
    void this.#end()
    void finishWorkers()
  }

  /** A fault in our own code must reach neither Haraka nor the mail. */
  #caught<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#log.error('fault in the plugin; please report this', { cause: reasonOf(error) })
      return undefined
    }
  }

  /** Sends what is pending and lets go of everything; never rejects. */
  #end(): Promise<void> {
    this.#ending ??= Promise.all([this.#primary?.stop(), this.#deliveries?.close()]).then(
      () => undefined,
      (error: unknown) => this.#log.warn('the plugin could not end in order', { cause: reasonOf(error) }),
    )
    return this.#ending
  }
}
