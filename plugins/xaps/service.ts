/**
 * Config → the running parts: the only file that sees all stages. Haraka's workers take the push side and the
 * delivery side, the companion the push side and the registration side.
 */

import { type Credentials, credentialFiles, loadCredentials } from './apns/credentials.ts'
import { watchCredentials } from './apns/renewal.ts'
import type { Clock } from './base/clock.ts'
import type { Log } from './base/log.ts'
import { type Config, olderSettings, pathIn, pushSources } from './config/config.ts'
import { watchLocalDomains } from './delivery/local.ts'
import { usersOf } from './delivery/recipients.ts'
import { UserDb } from './delivery/userdb.ts'
import { deferStore, openStore } from './device/open.ts'
import { register, removeGone } from './device/record.ts'
import type { DeviceStore } from './device/store.ts'
import type { Address, Mode, Plugin } from './haraka/types.ts'
import type { Pusher } from './push/pusher.ts'
import { type Companion, type CompanionOptions, startCompanion } from './registration/companion.ts'
import { spoolDirectory } from './state.ts'

/** How long a process that ends takes to send what is pending, in milliseconds. */
export const GRACE_MS = 3_000

/** How often expired devices are swept out of the store. */
const SWEEP_EVERY_MS = 6 * 3_600_000

/**
 * Opens the device store that the configuration names. Rejects when it cannot be opened, and with NoStoreYet instead of
 * making one that must exist.
 */
export function openDeviceStore(
  config: Config,
  log: Log,
  { mustExist = false }: { readonly mustExist?: boolean } = {},
): Promise<DeviceStore> {
  const { uri, namespace, expire_days } = config.store
  return openStore({
    uri,
    namespace,
    expireAfterMs: expire_days,
    harakaDir: config.harakaDir,
    mustExist,
    log,
  })
}

/** The same, opened at its first use. */
export function deferDeviceStore(config: Config, log: Log): DeviceStore {
  return deferStore(() => openDeviceStore(config, log))
}

/** The push side and what it needs to stay up to date. */
export interface PushSide extends Pick<Pusher, 'warmUp' | 'submit' | 'close'> {
  /** How many devices wait for a push. */
  pending(): number
  /** The credentials in use. */
  credentials(): Credentials
}

/** Loaded with the first event or at warmUp(): a companion that starts again answers phones meanwhile. */
const pusherModule = () => require('./push/pusher.js') as typeof import('./push/pusher.ts')

export function openPushSide(
  config: Config,
  first: Credentials,
  store: DeviceStore,
  log: Log,
  clock?: Clock,
): PushSide {
  let credentials = first
  const { window, change_delay, keep_for } = config.push
  const settings = { ...config.apns, windowMs: window, changeDelayMs: change_delay, keepForMs: keep_for }
  let pusher: Pusher | undefined
  const opened = () => {
    pusher ??= pusherModule().openPusher(credentials, settings, { store, removeGone, log }, clock)
    return pusher
  }
  const renewal = watchCredentials(
    credentialFiles(config.apns, config.harakaDir),
    () => loadCredentials(config.apns, config.harakaDir),
    renewed => {
      credentials = renewed
      pusher?.renew(renewed)
    },
    log,
    clock,
  )
  return {
    warmUp: () => opened().warmUp(),
    submit: (event, devices) => opened().submit(event, devices),
    pending: () => pusher?.pending ?? 0,
    credentials: () => credentials,
    async close(graceMs) {
      renewal.close()
      await pusher?.close(graceMs)
    },
  }
}

/** The delivery side: which users' devices are to hear of a mail to `recipients`. */
export interface DeliverySide {
  usersOf(recipients: readonly Address[], mode: Mode): Promise<string[]>
  close(): void
}

export function openDeliverySide(config: Config, haraka: Plugin['config'], log: Log): DeliverySide {
  const { dovecot_userdb } = config.users
  const userDb = dovecot_userdb === '' ? undefined : new UserDb(pathIn(config, dovecot_userdb), log)
  const options = {
    users: config.users,
    isLocal: watchLocalDomains(config.delivery.domains, haraka, log),
    lookup: userDb && ((address: string) => userDb.lookup(address)),
  }
  return {
    usersOf: (recipients, mode) => usersOf(recipients, mode, options),
    close: () => userDb?.close(),
  }
}

/** The registration side with the push side that its notifications feed. `doors`: how the sockets are opened. */
export async function openRegistrationSide(
  config: Config,
  push: PushSide,
  store: DeviceStore,
  doors: Pick<CompanionOptions, 'inherited' | 'socketOwner' | 'retry'>,
  log: Log,
): Promise<Companion> {
  const { socket, socket_mode, listen, subtopics, pad_topic } = config.registration
  const { newMail, changes } = pushSources(config)
  const { max_devices: maxDevices } = config.store
  for (const line of olderSettings(config)) log.notice(line)
  const sweeping = sweepRegularly(store, log)
  const companion = await startCompanion(
    {
      ...doors,
      socket: pathIn(config, socket),
      socketMode: socket_mode,
      listen,
      subtopics,
      notified: { newMail: newMail === 'plugin', changes },
      padTopic: pad_topic,
      lowercase: config.users.lowercase,
      spoolDir: spoolDirectory(config),
    },
    {
      save: ({ user, ...registration }, { live }) =>
        store.update(user, record => register(record, registration, { maxDevices, live })),
      onReady: listener => store.onReady(listener),
      devices: user => store.devices(user),
      submit: (event, devices) => push.submit(event, devices),
      pending: () => push.pending(),
      topic: () => push.credentials().topic,
      log,
    },
  )
  return {
    ...companion,
    close() {
      clearInterval(sweeping)
      return companion.close()
    },
  }
}

function sweepRegularly(store: DeviceStore, log: Log): NodeJS.Timeout {
  const sweep = (): void => {
    store.sweep().then(
      removed =>
        removed > 0 && log.info('devices that did not register again are forgotten', { devices: removed }),
      error => log.debug('sweeping the device store', { cause: String(error) }),
    )
  }
  return setInterval(sweep, SWEEP_EVERY_MS).unref()
}
