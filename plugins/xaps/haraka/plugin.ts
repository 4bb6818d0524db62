/**
 * The start of the plugin in one of Haraka's processes. A worker only delivers; the primary of a cluster only keeps settings and
 * companion; with nodes=0 one process does both.
 */

import cluster from 'node:cluster'
import { CredentialsError } from '../apns/credentials.ts'
import { type Fields, type Log, makeLog, reasonOf, visible } from '../base/log.ts'
import { type Config, loadConfig } from '../config/config.ts'
import { ConfigError, readSmtpIni, type SmtpIni } from '../config/ini.ts'
import { exposedSecrets } from '../config/secrets.ts'
import type { Report } from '../observe/report.ts'
import { CurrentSettings } from '../settings.ts'
import { prepareState } from '../state.ts'
import { keepCompanion } from './companion.ts'
import { HarakaProcess, MOST_WAITING } from './process.ts'
import { Reports, reportToPrimary } from './reports.ts'
import { answerWorkers, askPrimary, tellWorkers } from './settings.ts'
import type { Logger, Plugin } from './types.ts'

/** Haraka's logger as our Log: `[INFO] [-] [xaps] message key=value`. */
export function harakaLog(plugin: Logger): Log {
  return makeLog((level, message, fields) => {
    plugin[`log${level}`](visible(message), ...(fields ? [visibleFields(fields)] : []))
  })
}

function visibleFields(fields: Fields): Fields {
  const shown: Record<string, Fields[string]> = {}
  for (const key in fields) {
    const value = fields[key] ?? ''
    shown[key] = typeof value === 'string' ? visible(value) : value
  }
  return shown
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
    const workers = new Reports()
    const reports = () => (smtpIni.singleProcess ? reportsOf(here) : workers.take())
    const parts = { latest: () => current.latest, reports }
    const companion = enabled ? keepCompanion(config, parts, smtpIni, log) : undefined
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

/** With nodes=0. */
function reportsOf(here: HarakaProcess): readonly Report[] {
  const report = here.report()
  return report ? [{ ...report, process: 'haraka' }] : []
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
  reportToPrimary(() => here.report())
  return here
}
