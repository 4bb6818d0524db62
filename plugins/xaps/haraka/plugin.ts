/**
 * The plugin's life inside one of Haraka's processes: knows its settings (read, or in a worker told by the primary), starts
 * the companion, takes deliveries, ends cleanly. A worker only ever delivers; the primary of a cluster only ever keeps the
 * companion; with nodes=0 one process does both. Whatever goes wrong here is logged, and mail goes on.
 */

import cluster from 'node:cluster'
import { CredentialsError } from '../apns/credentials.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { ConfigError, pushSources } from '../config/config.ts'
import { readSmtpIni } from '../config/smtp-ini.ts'
import { confirmedByDelivered, confirmedByQueueOk } from '../delivery/confirmed.ts'
import { type CompanionKeeper, keepCompanion } from './companion.ts'
import { Deliveries, type Delivery } from './deliveries.ts'
import { harakaLog } from './log.ts'
import { loadSettings, type Settings, SettingsInUse } from './settings.ts'
import { onTermination } from './termination.ts'
import type { Address, Connection, DeliveredParams, Hmail, Mode, Plugin } from './types.ts'
import { answerWorkers, askPrimary } from './worker-settings.ts'

export interface InHaraka {
  /** Haraka listens and has dropped its privileges; in the primary, it is about to start its workers. */
  ready(): void
  /** Pushes to whom a `delivered` hook stands for. Returns at once. */
  delivered(hmail: Hmail, params: DeliveredParams): void
  /** Whom a `queue_ok` hook stands for; empty when it is not the hook that confirms. */
  forwarded(connection: Connection): readonly Address[]
  /** Pushes to the users behind `recipients`. Returns at once. */
  push(recipients: readonly Address[], mode: Mode): void
  shutdown(): void
}

/** Deliveries that a worker keeps until it knows its settings; a second's worth and more. */
const MOST_WAITING = 10_000

/** Undefined, and a line in the log, when the configuration is of no use: then the plugin stays off. */
export function startInHaraka(plugin: Plugin): InHaraka | undefined {
  const log = harakaLog(plugin)
  if (cluster.isWorker) return startInWorker(plugin, log)
  let settings: SettingsInUse | undefined
  answerWorkers(() => settings?.current())
  try {
    const harakaDir = process.env.HARAKA ?? process.cwd()
    const loaded = loadSettings(harakaDir)
    const smtpIni = readSmtpIni(harakaDir)
    const inUse = new SettingsInUse(loaded, log)
    const companion = keepCompanion(loaded.config, () => inUse.current(), smtpIni, log)
    const life = new Life(plugin, log, companion)
    if (smtpIni.singleProcess) life.know(loaded)
    settings = inUse
    return life
  } catch (error) {
    const known = error instanceof ConfigError || error instanceof CredentialsError
    log.error(`push is off: ${reasonOf(error)}`, known ? {} : { stack: String((error as Error).stack) })
    return undefined
  }
}

function startInWorker(plugin: Plugin, log: Log): InHaraka {
  const life = new Life(plugin, log, undefined)
  askPrimary(
    // Why push is off the primary has said.
    settings => (settings ? life.know(settings) : life.stayOff()),
    () =>
      log.error("Haraka's primary does not tell this worker what to work with; deliveries wait for it", {
        at_most: MOST_WAITING,
      }),
  )
  return life
}

class Life implements InHaraka {
  readonly #plugin: Plugin
  readonly #log: Log
  readonly #companion: CompanionKeeper | undefined
  #settings: Settings | undefined
  #deliveries: Deliveries | undefined
  #waiting: Delivery[] | undefined = []
  #isReady = false
  #ending: Promise<void> | undefined

  constructor(plugin: Plugin, log: Log, companion: CompanionKeeper | undefined) {
    this.#plugin = plugin
    this.#log = log
    this.#companion = companion
    onTermination(() => this.#end())
  }

  /**
   * What this process works with. It begins when Haraka is ready: as the user that it then is. Where Dovecot is the
   * source of new mail the hooks push nothing.
   */
  know(settings: Settings): void {
    if (pushSources(settings.config).newMail !== 'haraka') return this.stayOff()
    this.#settings = settings
    if (this.#isReady) this.#begin(settings)
  }

  /** Takes the deliveries that came before, in their order. */
  #begin(settings: Settings): void {
    this.#caught(() => {
      const deliveries = new Deliveries(settings, this.#plugin.config, this.#log)
      this.#deliveries = deliveries
      deliveries.warmUp()
      for (const delivery of this.#waiting ?? []) deliveries.take(delivery)
    })
    this.#waiting = undefined
  }

  stayOff(): void {
    this.#waiting = undefined
  }

  ready(): void {
    this.#isReady = true
    this.#companion?.start()
    if (this.#settings) this.#begin(this.#settings)
  }

  delivered(hmail: Hmail, params: DeliveredParams): void {
    this.#caught(() => {
      const [, , response, , , mode, okRecips] = params
      this.push(confirmedByDelivered(mode, okRecips, hmail.todo.rcpt_to, response), mode)
    })
  }

  forwarded(connection: Connection): readonly Address[] {
    const { transaction } = connection
    return (transaction && this.#caught(() => confirmedByQueueOk(transaction))) ?? []
  }

  push(recipients: readonly Address[], mode: Mode): void {
    if (recipients.length === 0 || this.#ending) return
    const delivery = { recipients, mode, at: Date.now() }
    if (this.#deliveries) this.#caught(() => this.#deliveries?.take(delivery))
    else if (this.#waiting && this.#waiting.length < MOST_WAITING) this.#waiting.push(delivery)
  }

  shutdown(): void {
    void this.#end()
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
    this.#ending ??= Promise.all([this.#companion?.stop(), this.#deliveries?.close()]).then(
      () => undefined,
      (error: unknown) => this.#log.warn('the plugin could not end in order', { cause: reasonOf(error) }),
    )
    return this.#ending
  }
}
