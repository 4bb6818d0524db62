/**
 * The companion as Haraka keeps it: a supervised child with the user and group of Haraka's workers. While Haraka is
 * still root it makes the directories that the others write to, and binds what the companion listens on, which the
 * dropped user could not do in Dovecot's directory; the child inherits all of it.
 */

import cluster from 'node:cluster'
import path from 'node:path'
import { type Log, reasonOf } from '../base/log.ts'
import { type Config, pathIn } from '../config/config.ts'
import { exposedSecrets } from '../config/secrets.ts'
import type { SmtpIni } from '../config/smtp-ini.ts'
import { bindTcp } from '../process/listener.ts'
import { isRoot } from '../process/only-root.ts'
import { type KeptListeners, keepListeners, type Wanted } from '../process/retry-listen.ts'
import { NOBODY_ELSE, socketOwner } from '../process/socket-owner.ts'
import { FIRST_FD, type Supervised, supervise } from '../process/supervise.ts'
import { bindUnixSocket } from '../process/unix-socket.ts'
import type { InheritedListener } from '../registration/companion.ts'
import { prepareState } from '../state.ts'
import type { Settings } from './settings.ts'

export interface CompanionKeeper {
  /** Starts the companion and keeps it running. */
  start(): void
  /** Ends it, and the sockets. Never rejects. */
  stop(): Promise<void>
}

/** The first message to a companion. */
export interface CompanionStart extends Settings {
  readonly inherited: readonly InheritedListener[]
}

type Protocol = InheritedListener['protocol']

/** Undefined where another process keeps the companion: in a worker, or with [registration] enabled = false. */
export function keepCompanion(
  config: Config,
  settings: () => Settings,
  smtpIni: SmtpIni,
  log: Log,
): CompanionKeeper | undefined {
  if (!cluster.isPrimary) return undefined
  for (const warning of exposedSecrets(config, [process.getgid?.(), smtpIni.gid])) log.warn(warning)
  prepareDirectories(config, smtpIni, log)
  return config.registration.enabled ? new Keeper(config, settings, smtpIni, log) : undefined
}

class Keeper implements CompanionKeeper {
  readonly #config: Config
  readonly #settings: () => Settings
  readonly #smtpIni: SmtpIni
  readonly #log: Log
  readonly #listeners: KeptListeners<Protocol>
  #companion: Supervised | undefined

  constructor(config: Config, settings: () => Settings, smtpIni: SmtpIni, log: Log) {
    this.#config = config
    this.#settings = settings
    this.#smtpIni = smtpIni
    this.#log = log
    this.#listeners = keepListeners(listenersOf(config, smtpIni, log), () => this.#companion?.renew(), log)
    process.once('exit', () => this.#listeners.remove())
  }

  start(): void {
    this.#companion = supervise(
      {
        command: process.execPath,
        // Nothing of it is read: it tells whoever looks at the list of processes what this is.
        args: [
          path.join(__dirname, 'companion-process.js'),
          '-c',
          this.#config.harakaDir,
          'serve',
          '--for-haraka',
        ],
        fds: () => this.#listeners.bound().map(({ fd }) => fd),
        hello: () => this.#hello(),
        uid: this.#smtpIni.uid,
        gid: this.#smtpIni.gid,
      },
      this.#log,
    )
  }

  async stop(): Promise<void> {
    await this.#listeners.stop()
    await this.#companion?.stop()
    this.#listeners.remove()
  }

  #hello(): CompanionStart {
    const inherited = this.#listeners
      .bound()
      .map(({ name }, index) => ({ protocol: name, fd: FIRST_FD + index }))
    return { inherited, ...this.#settings() }
  }
}

/** What `[registration]` names, each with how it is bound. */
function listenersOf(config: Config, smtpIni: SmtpIni, log: Log): Wanted<Protocol>[] {
  const { socket, socket_mode: mode, listen } = config.registration
  const overHttp = listen.map(
    (address): Wanted<Protocol> => ({
      name: 'http',
      async bind() {
        const { fd, close } = await bindTcp(address, log)
        return { fd, remove: close }
      },
    }),
  )
  if (socket === '') return overHttp
  const haraka = isRoot() ? smtpIni : NOBODY_ELSE
  const options = { path: pathIn(config, socket), mode, ...socketOwner(config.registration, haraka, log) }
  return [{ name: 'line', bind: async () => bindUnixSocket(options) }, ...overHttp]
}

/** The workers and the companion run as another user: what they write to must be theirs. */
function prepareDirectories(config: Config, owner: SmtpIni, log: Log): void {
  try {
    prepareState(config, owner)
  } catch (error) {
    log.error('a directory for registrations cannot be made', { cause: reasonOf(error) })
  }
}
