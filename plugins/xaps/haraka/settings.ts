/**
 * What a Haraka works with, from its start to its end: its other processes get this, and read nothing themselves. So a file
 * that is half written just when one of them starts again changes nothing, and all processes agree.
 */

import { type Credentials, credentialFiles, loadCredentials } from '../apns/credentials.ts'
import { fingerprint } from '../apns/renewal.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { type Config, loadConfig } from '../config/config.ts'

/** Plain data, to be sent to another process. */
export interface Settings {
  readonly config: Config
  readonly credentials: Credentials
}

/** Reads configuration and credentials. Throws ConfigError and CredentialsError. */
export function loadSettings(harakaDir: string): Settings {
  const config = loadConfig(harakaDir)
  return { config, credentials: loadCredentials(config.apns, harakaDir) }
}

export class SettingsInUse {
  readonly #config: Config
  readonly #log: Log
  #credentials: Credentials
  /** The credentials' files as they were when they were last good; of a process that may not see them any more, that. */
  #seen: string | undefined
  /** What was said of each file that is not as it is in use. */
  readonly #said = new Map<string, string>()

  constructor({ config, credentials }: Settings, log: Log) {
    this.#config = config
    this.#credentials = credentials
    this.#log = log
  }

  /** For a process that starts now: the configuration of the start, and the last credentials that were good. */
  current(): Settings {
    this.#sayOnce(
      'xaps.ini on disk is not what is in use; restart Haraka when it shall be',
      this.#difference(),
    )
    this.#sayOnce('the credentials on disk are of no use; the last good ones stay in use', this.#renew())
    return { config: this.#config, credentials: this.#credentials }
  }

  /** How the file differs from what is in use; undefined when it does not. */
  #difference(): string | undefined {
    try {
      const onDisk = loadConfig(this.#config.harakaDir)
      return JSON.stringify(onDisk) === JSON.stringify(this.#config) ? undefined : 'it has changed'
    } catch (error) {
      return reasonOf(error)
    }
  }

  /** Reads credentials that have changed on disk; why that was impossible, if it was. */
  #renew(): string | undefined {
    const now = fingerprint(credentialFiles(this.#config.apns, this.#config.harakaDir))
    this.#seen ??= now
    if (now === this.#seen) return undefined
    try {
      this.#credentials = loadCredentials(this.#config.apns, this.#config.harakaDir)
      this.#seen = now
      return undefined
    } catch (error) {
      return reasonOf(error)
    }
  }

  #sayOnce(message: string, cause: string | undefined): void {
    if (cause === undefined) this.#said.delete(message)
    else if (this.#said.get(message) !== cause) {
      this.#said.set(message, cause)
      this.#log.warn(message, { cause })
    }
  }
}
