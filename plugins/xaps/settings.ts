/**
 * The settings of an installation, from its start to its end, in the one process that reads them: Haraka's primary, or
 * `xaps serve`. What is good on disk is taken up while running and passed on; what is of no use changes nothing.
 */

import { isDeepStrictEqual } from 'node:util'
import { type Credentials, credentialFiles, loadCredentials } from './apns/credentials.ts'
import { type Clock, systemClock } from './base/clock.ts'
import { type Log, reasonOf } from './base/log.ts'
import { type Watch, watchFiles } from './base/watched-files.ts'
import { changesIn, takeUp } from './config/changes.ts'
import { type Config, configFile, loadConfig } from './config/config.ts'

/** All that a process works with; plain data, to be sent to another process. */
export interface Settings {
  readonly config: Config
  readonly credentials: Credentials
}

export class CurrentSettings {
  readonly #config: Config
  #credentials: Credentials
  readonly #log: Log
  readonly #clock: Clock
  #changed: (settings: Settings) => void = () => undefined
  #watches: readonly Watch[] = []

  /** Reads the credentials. Throws CredentialsError. */
  constructor(config: Config, log: Log, clock: Clock = systemClock) {
    this.#config = config
    this.#credentials = loadCredentials(config.apns, config.harakaDir)
    this.#log = log
    this.#clock = clock
  }

  /** The last that were good: those of the start, but for what has been taken up since. */
  get latest(): Settings {
    return { config: this.#config, credentials: this.#credentials }
  }

  /** From now on takes up what changes on disk, and calls `changed` then. To be called when privileges are dropped. */
  watch(changed: (settings: Settings) => void): void {
    const { apns, harakaDir } = this.#config
    this.#changed = changed
    this.#watches = [
      watchFiles(
        () => [configFile(harakaDir)],
        () => this.readAgain(),
        this.#clock,
      ),
      watchFiles(
        () => credentialFiles(apns, harakaDir),
        () => this.#renew(),
        this.#clock,
      ),
    ]
  }

  close(): void {
    for (const watch of this.#watches) watch.close()
  }

  /** Reads xaps.ini, and the credentials where [apns] has changed. Never throws. */
  readAgain(): void {
    try {
      const next = loadConfig(this.#config.harakaDir)
      const { live, afterRestart } = changesIn(this.#config, next)
      if (!isDeepStrictEqual(next.apns, this.#config.apns))
        this.#credentials = loadCredentials(next.apns, next.harakaDir)
      takeUp(this.#config, next)
      if (live.length > 0) {
        this.#log.notice('xaps.ini has changed and is in use', { changes: live.join('; ') })
        this.#changed(this.latest)
      }
      if (afterRestart.length > 0)
        this.#log.warn('a change of xaps.ini needs a restart', { changes: afterRestart.join('; ') })
    } catch (error) {
      this.#log.error('xaps.ini has changed and is of no use; nothing changes', { cause: reasonOf(error) })
    }
  }

  /** Takes the credentials that are on disk. */
  #renew(): void {
    try {
      const credentials = loadCredentials(this.#config.apns, this.#config.harakaDir)
      if (isDeepStrictEqual(credentials, this.#credentials)) return
      this.#credentials = credentials
      this.#log.notice('the credentials for Apple changed on disk; the new ones are in use')
      this.#changed(this.latest)
    } catch (error) {
      this.#log.error('the changed credentials are of no use; the old ones stay in use', {
        cause: reasonOf(error),
      })
    }
  }
}
