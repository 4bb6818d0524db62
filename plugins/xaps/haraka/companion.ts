/**
 * The companion as Haraka keeps it: a child process (companion-process.ts) that process/supervise.ts starts, watches and
 * starts again. It has the user and group of Haraka's workers. The primary binds what the companion listens on while it is
 * still root, which the dropped user could not do in Dovecot's directory; the child inherits the descriptors.
 */

import path from 'node:path'
import type { Log } from '../base/log.ts'
import { type Config, pathIn } from '../config/config.ts'
import type { SmtpIni } from '../config/ini.ts'
import type { Report } from '../observe/report.ts'
import { bindTcp } from '../process/listener.ts'
import { isRoot } from '../process/only-root.ts'
import { keepListeners, type Wanted } from '../process/retry-listen.ts'
import { NOBODY_ELSE, socketOwner } from '../process/socket-owner.ts'
import { FIRST_FD, type Supervised, supervise } from '../process/supervise.ts'
import { bindUnixSocket } from '../process/unix-socket.ts'
import type { InheritedListener } from '../registration/companion.ts'
import type { Settings } from '../settings.ts'

export interface CompanionParts {
  /** The settings for a companion that starts now. */
  readonly latest: () => Settings
  /** What Haraka's processes report; decisions once. */
  readonly reports: () => readonly Report[]
}

export interface CompanionKeeper {
  /** Starts the companion and keeps it running. */
  start(): void
  /** Tells it to work with other settings. */
  tell(settings: Settings): void
  /** Ends it, and the sockets. Never rejects. */
  stop(): Promise<void>
}

/** What a companion is told later. */
export interface CompanionNews {
  readonly settings?: Settings
  readonly reports?: readonly Report[]
}

/** The first message to a companion. */
export interface CompanionStart extends Settings {
  readonly inherited: readonly InheritedListener[]
}

type Protocol = InheritedListener['protocol']

/** Binds the listeners at once. */
export function keepCompanion(
  config: Config,
  { latest, reports }: CompanionParts,
  smtpIni: SmtpIni,
  log: Log,
): CompanionKeeper {
  let companion: Supervised | undefined
  const listeners = keepListeners(listenersOf(config, smtpIni, log), () => companion?.renew(), log)
  process.once('exit', () => listeners.remove())
  const { uid, gid } = smtpIni
  // The words after the script are not read: they name the process in a list of processes.
  const args = [path.join(__dirname, 'companion-process.js'), '-c', config.harakaDir, 'serve', '--for-haraka']
  const fds = () => listeners.bound().map(({ fd }) => fd)
  const hello = (): CompanionStart => {
    const inherited = listeners.bound().map(({ name }, index) => ({ protocol: name, fd: FIRST_FD + index }))
    return { inherited, ...latest() }
  }
  const news = (): CompanionNews => ({ reports: reports() })
  return {
    start() {
      companion = supervise({ command: process.execPath, args, fds, hello, news, uid, gid }, log)
    },
    tell: settings => companion?.tell({ settings } satisfies CompanionNews),
    async stop() {
      await listeners.stop()
      await companion?.stop()
      listeners.remove()
    },
  }
}

/** All that the configuration names, each with how it is bound. */
function listenersOf(config: Config, smtpIni: SmtpIni, log: Log): Wanted<Protocol>[] {
  const { socket, socketMode: mode, listen } = config.registration
  const { eventsSocket } = config.delivery
  const haraka = isRoot() ? smtpIni : NOBODY_ELSE
  const anySocket = socket || eventsSocket
  const owner = socketOwner({ ...config.registration, socket: anySocket }, haraka, log)
  const atPath = (name: Protocol, file: string, key: string): Wanted<Protocol>[] =>
    file === ''
      ? []
      : [{ name, bind: async () => bindUnixSocket({ path: pathIn(config, file), key, mode, ...owner }) }]
  const overHttp = listen.map(
    (address): Wanted<Protocol> => ({
      name: 'http',
      async bind() {
        const { fd, close } = await bindTcp(address, log)
        return { fd, remove: close }
      },
    }),
  )
  return [
    ...atPath('line', socket, '[registration] socket'),
    ...overHttp,
    ...atPath('events', eventsSocket, '[delivery] events_socket'),
  ]
}
