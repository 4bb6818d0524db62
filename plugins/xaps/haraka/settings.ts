/**
 * The settings of a Haraka, from its start to its end: the primary reads them, workers and companion get them from it and
 * read nothing themselves. So a file that is half written just when one of them starts again changes nothing, and all
 * processes agree. Workers ask over the cluster's own channel; the companion is told (companion.ts).
 */

import cluster from 'node:cluster'
import { credentialFiles, loadCredentials } from '../apns/credentials.ts'
import { fingerprint } from '../apns/renewal.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { loadConfig } from '../config/config.ts'
import { ASK_SETTINGS, isEvent, SETTINGS } from '../process/message.ts'
import type { Settings } from '../service.ts'

/** In the primary: the settings that its other processes start with. */
export class CurrentSettings {
  /** As they were read at the start, and credentials that have been renewed since. */
  #settings: Settings
  readonly #log: Log
  /** The credentials' files as they were when they were last good, as far as this process may look at them. */
  #seen: string | undefined
  /** The last warning of each kind. */
  readonly #warned = new Map<string, string | undefined>()

  /** Reads configuration and credentials. Throws ConfigError and CredentialsError. */
  constructor(harakaDir: string, log: Log) {
    const config = loadConfig(harakaDir)
    this.#settings = { config, credentials: loadCredentials(config.apns, harakaDir) }
    this.#log = log
  }

  /** Without a look at the disk. */
  get known(): Settings {
    return this.#settings
  }

  /** For a process that starts now: the configuration of the start, and the last credentials that were good. */
  latest(): Settings {
    this.#warn('xaps.ini on disk is not what is in use; restart Haraka when it shall be', this.#difference())
    this.#warn('the credentials on disk are of no use; the last good ones stay in use', this.#renew())
    return this.#settings
  }

  /** How the file differs from what is in use; undefined when it does not. */
  #difference(): string | undefined {
    const { config } = this.#settings
    try {
      const onDisk = loadConfig(config.harakaDir)
      return JSON.stringify(onDisk) === JSON.stringify(config) ? undefined : 'it has changed'
    } catch (error) {
      return reasonOf(error)
    }
  }

  /** Reads credentials that have changed on disk; why that was impossible, if it was. */
  #renew(): string | undefined {
    const { config } = this.#settings
    const now = fingerprint(credentialFiles(config.apns, config.harakaDir))
    this.#seen ??= now
    if (now === this.#seen) return undefined
    try {
      this.#settings = { config, credentials: loadCredentials(config.apns, config.harakaDir) }
      this.#seen = now
      return undefined
    } catch (error) {
      return reasonOf(error)
    }
  }

  /** Once for each cause. */
  #warn(message: string, cause: string | undefined): void {
    if (cause !== undefined && this.#warned.get(message) !== cause) this.#log.warn(message, { cause })
    this.#warned.set(message, cause)
  }
}

/** The primary answers at once, unless it is held up or has no such plugin. */
const ANSWER_TIMEOUT_MS = 10_000

/** In the primary: answers every worker with what `latest` gives then, nothing where the plugin is off in the primary. */
export function answerWorkers(latest: () => Settings | undefined): void {
  cluster.on('message', (worker, message) => {
    if (!isEvent(message, ASK_SETTINGS) || !worker.isConnected()) return
    const answer = { event: SETTINGS, settings: latest() }
    // A worker that ends meanwhile needs no answer.
    worker.process.send(answer, () => undefined)
  })
}

/** In a worker: asks once, and calls `receive` with the answer, or `late` when there is none for 10 s. */
export function askPrimary(
  receive: (settings: Settings | undefined) => void,
  late: () => void,
  clock: Clock = systemClock,
): void {
  const timer = clock.after(ANSWER_TIMEOUT_MS, late)
  const listener = (message: unknown) => {
    if (!isEvent(message, SETTINGS)) return
    process.off('message', listener)
    timer.cancel()
    receive((message as { readonly settings?: Settings }).settings)
  }
  process.on('message', listener)
  // Without a primary there is no answer, which `late` tells.
  process.send?.({ event: ASK_SETTINGS }, undefined, undefined, () => undefined)
}
