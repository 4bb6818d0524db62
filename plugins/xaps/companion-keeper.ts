/**
 * The companion as Haraka keeps it: a supervised child with the user and group of Haraka's workers. While Haraka is
 * still root it makes the directories that the others write to, and binds the Unix socket, which the dropped user
 * could not do in Dovecot's directory; the child inherits it. The socket stays bound in Haraka, so what connects
 * while the companion is started again waits and is served.
 */

import cluster from 'node:cluster'
import path from 'node:path'
import { type Config, pathIn } from './config/config.ts'
import { exposedSecrets } from './config/secrets.ts'
import type { SmtpIni } from './config/smtp-ini.ts'
import { ownLmdbDirectory } from './device/open.ts'
import { makeOwnDirectory } from './directory.ts'
import { type Log, reasonOf } from './log.ts'
import { type Credentials, loadCredentials } from './push/credentials.ts'
import { socketOptions } from './registration/companion.ts'
import { keepOpening, type Opening } from './registration/opening.ts'
import { type Supervised, supervise } from './registration/supervise.ts'
import { type BoundSocket, bindUnixSocket } from './registration/unix-socket.ts'
import { spoolDirectory } from './service.ts'

export interface CompanionKeeper {
  /** Starts the companion and keeps it running. */
  start(): void
  /** Ends it, and the socket. Never rejects. */
  stop(): Promise<void>
}

/** The descriptor under which the child finds the socket: the first after the standard ones. */
const SOCKET_FD = 3

/** Undefined where another process keeps the companion: in a worker, or with [registration] enabled = false. */
export function keepCompanion(
  config: Config,
  credentials: Credentials,
  smtpIni: SmtpIni,
  log: Log,
): CompanionKeeper | undefined {
  if (!cluster.isPrimary) return undefined
  for (const warning of exposedSecrets(config, [process.getgid?.(), smtpIni.gid])) log.warn(warning)
  if (isRoot()) prepareDirectories(config, smtpIni, log)
  return config.registration.enabled ? new Keeper(config, credentials, smtpIni, log) : undefined
}

class Keeper implements CompanionKeeper {
  readonly #config: Config
  readonly #smtpIni: SmtpIni
  readonly #log: Log
  #credentials: Credentials
  #socket: BoundSocket | undefined
  readonly #binding: Opening | undefined
  #companion: Supervised | undefined
  #started = false

  constructor(config: Config, credentials: Credentials, smtpIni: SmtpIni, log: Log) {
    this.#config = config
    this.#credentials = credentials
    this.#smtpIni = smtpIni
    this.#log = log
    if (isRoot() && config.registration.socket !== '')
      this.#binding = keepOpening(() => this.#bind(), { retry: true, log })
    process.once('exit', () => this.#removeSocket())
  }

  start(): void {
    this.#started = true
    this.#companion = supervise(
      {
        command: process.execPath,
        args: [
          path.join(__dirname, 'cli', 'main.js'),
          '-c',
          this.#config.harakaDir,
          'serve',
          '--for-haraka',
          this.#door(),
        ],
        fds: this.#socket ? [this.#socket.fd] : [],
        input: () => JSON.stringify({ credentials: this.#latestCredentials() }),
        uid: this.#smtpIni.uid,
        gid: this.#smtpIni.gid,
      },
      this.#log,
    )
  }

  async stop(): Promise<void> {
    await this.#binding?.stop()
    await this.#companion?.stop()
    this.#removeSocket()
  }

  /** Who is not root lets the child open the socket: it can do no less. */
  #door(): string {
    if (this.#socket) return `--socket-fd=${SOCKET_FD}`
    return this.#binding ? '--no-socket' : '--open-socket'
  }

  /** Binds the socket; a companion that had to start without it starts anew. */
  async #bind(): Promise<void> {
    const { socket, socket_mode, socket_user, socket_group } = this.#config.registration
    this.#socket = bindUnixSocket(
      socketOptions({
        socket: pathIn(this.#config, socket),
        socketMode: socket_mode,
        socketUser: socket_user || String(this.#smtpIni.uid ?? ''),
        socketGroup: socket_group || String(this.#smtpIni.gid ?? ''),
      }),
    )
    if (!this.#started) return
    await this.#companion?.stop()
    this.start()
  }

  /** The companion may not be allowed to read the files, so it is given their content; the last good one if need be. */
  #latestCredentials(): Credentials {
    try {
      this.#credentials = loadCredentials(this.#config.apns, this.#config.harakaDir)
    } catch (error) {
      this.#log.debug('the companion starts with the credentials read before', { cause: reasonOf(error) })
    }
    return this.#credentials
  }

  #removeSocket(): void {
    try {
      this.#socket?.remove()
    } catch (error) {
      this.#log.debug('the socket file stays; the next start replaces it', { cause: reasonOf(error) })
    }
    this.#socket = undefined
  }
}

/** The workers and the companion run as another user: what they write to must be theirs. */
function prepareDirectories(config: Config, { uid, gid }: SmtpIni, log: Log): void {
  try {
    makeOwnDirectory(spoolDirectory(config), 0o700, { uid, gid })
    ownLmdbDirectory(config.store.uri, config.harakaDir, uid ?? 0, gid ?? 0)
  } catch (error) {
    log.error('a directory for registrations cannot be made', { cause: reasonOf(error) })
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}
