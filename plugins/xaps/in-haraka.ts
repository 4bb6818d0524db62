/**
 * The plugin's life inside one of Haraka's processes: reads the configuration, opens the parts when they are first
 * needed, starts the companion, ends cleanly. A worker only ever delivers; the primary of a cluster only ever keeps
 * the companion; with nodes=0 one process does both. Whatever goes wrong here is logged, and mail goes on.
 */

import cluster from 'node:cluster'
import { type CompanionKeeper, keepCompanion } from './companion-keeper.ts'
import { type Config, ConfigError, loadConfig, pushSources } from './config/config.ts'
import { readSmtpIni, type SmtpIni } from './config/smtp-ini.ts'
import { confirmedByDelivered, confirmedByQueueOk } from './delivery/confirmed.ts'
import type { DeviceStore } from './device/store.ts'
import type { Address, Connection, DeliveredParams, Hmail, Mode, Plugin } from './haraka.ts'
import { harakaLog } from './haraka-log.ts'
import { type Log, reasonOf } from './log.ts'
import { type Credentials, CredentialsError, loadCredentials } from './push/credentials.ts'
import {
  type DeliverySide,
  deferDeviceStore,
  GRACE_MS,
  openDeliverySide,
  openPushSide,
  type PushSide,
} from './service.ts'
import { onTermination } from './termination.ts'

export interface InHaraka {
  /** Whether the hooks are the source of new mail. */
  readonly hooksPush: boolean
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

/** Undefined, and a line in the log, when the configuration is of no use: then the plugin stays off. */
export function startInHaraka(plugin: Plugin): InHaraka | undefined {
  const log = harakaLog(plugin)
  const harakaDir = process.env.HARAKA ?? process.cwd()
  try {
    const config = loadConfig(harakaDir)
    return new Life(config, loadCredentials(config.apns, harakaDir), plugin, log)
  } catch (error) {
    const known = error instanceof ConfigError || error instanceof CredentialsError
    log.error(`push is off: ${reasonOf(error)}`, known ? {} : { stack: String((error as Error).stack) })
    return undefined
  }
}

class Life implements InHaraka {
  readonly hooksPush: boolean
  readonly #config: Config
  readonly #credentials: Credentials
  readonly #smtpIni: SmtpIni
  readonly #log: Log
  readonly #delivery: DeliverySide
  readonly #companion: CompanionKeeper | undefined
  readonly #store: DeviceStore
  #push: PushSide | undefined
  #ending: Promise<void> | undefined

  constructor(config: Config, credentials: Credentials, plugin: Plugin, log: Log) {
    this.hooksPush = pushSources(config).newMail === 'haraka'
    this.#config = config
    this.#credentials = credentials
    this.#log = log
    this.#smtpIni = readSmtpIni(config.harakaDir)
    this.#store = deferDeviceStore(config, log)
    this.#delivery = openDeliverySide(config, plugin.config, log)
    this.#companion = keepCompanion(config, credentials, this.#smtpIni, log)
    onTermination(() => this.#end())
  }

  ready(): void {
    this.#companion?.start()
    if (this.hooksPush && (cluster.isWorker || this.#smtpIni.singleProcess)) this.#warmUp()
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
    if (recipients.length === 0) return
    const at = Date.now()
    this.#delivery.usersOf(recipients, mode).then(
      users => this.#caught(() => this.#submit(users, at)),
      error => this.#log.error('recipients could not be resolved', { cause: reasonOf(error) }),
    )
  }

  shutdown(): void {
    void this.#end()
  }

  #submit(users: readonly string[], at: number): void {
    if (this.#ending) return
    for (const user of users) this.#pushSide().submit({ user, kind: 'new', at })
  }

  #pushSide(): PushSide {
    this.#push ??= openPushSide(this.#config, this.#credentials, this.#store, this.#log)
    return this.#push
  }

  /** Connects to store and Apple before the first mail has to wait for them, which costs it a quarter of a second. */
  #warmUp(): void {
    this.#caught(() => this.#pushSide().warmUp())
    this.#store
      .warnings()
      .catch((error: unknown) =>
        this.#log.error('the device store cannot be opened; trying again', { cause: reasonOf(error) }),
      )
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
    this.#ending ??= this.#close().catch((error: unknown) =>
      this.#log.warn('the plugin could not end in order', { cause: reasonOf(error) }),
    )
    return this.#ending
  }

  async #close(): Promise<void> {
    this.#delivery.close()
    await Promise.all([this.#companion?.stop(), this.#push?.close(GRACE_MS)])
    await this.#store.close()
  }
}
