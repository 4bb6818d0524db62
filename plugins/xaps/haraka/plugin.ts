/**
 * The plugin in one of Haraka's processes: starts the companion, takes deliveries, ends in order. A worker only delivers;
 * the primary of a cluster only keeps the companion; with nodes=0 one process does both. A failure here is logged, and mail
 * goes on.
 */

import cluster from 'node:cluster'
import { CredentialsError } from '../apns/credentials.ts'
import { type Fields, type Log, makeLog, reasonOf, visible } from '../base/log.ts'
import { type Config, loadConfig, pushSources } from '../config/config.ts'
import { ConfigError, readSmtpIni, type SmtpIni } from '../config/ini.ts'
import { exposedSecrets } from '../config/secrets.ts'
import type { Address, Mode } from '../delivery/address.ts'
import { confirmedByDelivered, confirmedByQueueOk } from '../delivery/confirmed.ts'
import { type Delivery, type DeliverySide, openDeliverySide } from '../service.ts'
import { CurrentSettings, type Settings } from '../settings.ts'
import { prepareState } from '../state.ts'
import { keepCompanion } from './companion.ts'
import { answerWorkers, askPrimary, tellWorkers } from './settings.ts'
import { finishWorkers, onTermination } from './termination.ts'
import type { Connection, DeliveredParams, Hmail, Logger, Plugin } from './types.ts'

/** Deliveries that a worker keeps until it knows its settings; a second's worth and more. */
const MOST_WAITING = 10_000

/** Haraka's logger as our Log: `[INFO] [-] [xaps] message key=value`. */
export function harakaLog(plugin: Logger): Log {
  return makeLog((level, message, fields) => {
    plugin[`log${level}`](visible(message), ...(fields ? [visibleFields(fields)] : []))
  })
}

function visibleFields(fields: Fields): Fields {
  const shown = Object.entries(fields).map(
    ([key, value]) => [key, typeof value === 'string' ? visible(value) : value] as const,
  )
  return Object.fromEntries(shown)
}

/** Undefined, and a line in the log, when the configuration is of no use: then the plugin stays off. */
export function startInHaraka(plugin: Plugin): HarakaProcess | undefined {
  const log = harakaLog(plugin)
  return cluster.isWorker ? startInWorker(plugin, log) : startInPrimary(plugin, log)
}

function startInPrimary(plugin: Plugin, log: Log): HarakaProcess | undefined {
  let settings: CurrentSettings | undefined
  answerWorkers(() => settings?.latest)
  try {
    const harakaDir = process.env.HARAKA ?? process.cwd()
    const config = loadConfig(harakaDir)
    const current = new CurrentSettings(config, log)
    const smtpIni = readSmtpIni(harakaDir)
    prepareFiles(config, smtpIni, log)
    const { enabled } = config.registration
    const companion = enabled ? keepCompanion(config, () => current.latest, smtpIni, log) : undefined
    const here = new HarakaProcess(plugin, log, {
      start() {
        companion?.start()
        current.watch(changed => {
          tellWorkers(changed)
          companion?.tell(changed)
          if (smtpIni.singleProcess) here.use(changed)
        })
      },
      async stop() {
        current.close()
        await companion?.stop()
      },
    })
    if (smtpIni.singleProcess) here.use(current.latest)
    settings = current
    return here
  } catch (error) {
    const known = error instanceof ConfigError || error instanceof CredentialsError
    log.error(`push is off: ${reasonOf(error)}`, known ? {} : { stack: String((error as Error).stack) })
    return undefined
  }
}

/** The workers and the companion run as another user: their directories must be theirs, and no secret open to others. */
function prepareFiles(config: Config, owner: SmtpIni, log: Log): void {
  for (const warning of exposedSecrets(config, [process.getgid?.(), owner.gid])) log.warn(warning)
  try {
    prepareState(config, owner)
  } catch (error) {
    log.error('a directory for registrations cannot be made', { cause: reasonOf(error) })
  }
}

function startInWorker(plugin: Plugin, log: Log): HarakaProcess {
  const here = new HarakaProcess(plugin, log)
  const unanswered = "Haraka's primary does not tell this worker what to work with; deliveries wait for it"
  askPrimary(
    settings => here.use(settings),
    () => log.error(unanswered, { at_most: MOST_WAITING }),
  )
  return here
}

/** What the primary does beside. */
interface PrimaryPart {
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
    })
  }

  /** Pushes to the recipients that a `delivered` hook stands for. Returns at once. */
  delivered(hmail: Hmail, params: DeliveredParams): void {
    this.#caught(() => {
      const [, , response, , , mode, okRecips] = params
      this.push(confirmedByDelivered(mode, okRecips, hmail.todo.rcpt_to, response), mode)
    })
  }

  /** The recipients that a `queue_ok` hook stands for; empty when it is not the hook that confirms. */
  forwarded(connection: Connection): readonly Address[] {
    const { transaction } = connection
    return (transaction && this.#caught(() => confirmedByQueueOk(transaction))) ?? []
  }

  /** Pushes to the users behind `recipients`. Returns at once. */
  push(recipients: readonly Address[], mode: Mode): void {
    if (recipients.length === 0 || this.#ending || this.#pushes === false) return
    const delivery = { recipients, mode, at: Date.now() }
    if (this.#deliveries) this.#caught(() => this.#deliveries?.push(delivery))
    else if (this.#waiting.length < MOST_WAITING) this.#waiting.push(delivery)
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
