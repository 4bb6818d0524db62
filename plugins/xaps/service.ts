/**
 * Configuration → running parts: the only file that joins stages, by passing functions. A process of Haraka's that delivers
 * has a delivery side, the companion serves; both have a push side of their own.
 */

import { type Credentials, credentialFiles, loadCredentials } from './apns/credentials.ts'
import { announceExpiry } from './apns/renewal.ts'
import type { Clock } from './base/clock.ts'
import { STAGES } from './base/limits.ts'
import { type Log, reasonOf } from './base/log.ts'
import { type Config, missingEventsListener, pathIn, pushSources, settingNotes } from './config/config.ts'
import type { Address, Mode } from './delivery/address.ts'
import type { HarakaLists } from './delivery/local.ts'
import { openUserLookup } from './delivery/recipients.ts'
import type { Came } from './device/device.ts'
import { deviceStore, openStore } from './device/open.ts'
import { noteCame, register } from './device/record.ts'
import type { DeviceStore } from './device/store.ts'
import { Intake } from './intake/intake.ts'
import { Pusher } from './push/pusher.ts'
import { type Companion, type CompanionOptions, startCompanion } from './registration/companion.ts'
import { Spool } from './registration/spool.ts'
import { foreignState, isUsed, prepareSpool, spoolDirectory, storeWord } from './state.ts'

/** How often expired devices are swept out of the store. */
const SWEEP_EVERY_MS = 6 * 3_600_000

/** From the companion's start to its connection to Apple, for which no phone waits, in milliseconds. */
const WARM_UP_AFTER_MS = 1_000

/** All that a process works with; plain data, to be sent to another process. */
export interface Settings {
  readonly config: Config
  readonly credentials: Credentials
}

/** The device store that the configuration names, opened at its first use. */
function storeOf(config: Config, log: Log): DeviceStore {
  return deviceStore({ ...config.store, harakaDir: config.harakaDir, log })
}

/**
 * Opens the device store that the configuration names. Rejects when it cannot be opened, and with NoStoreYet instead of
 * making one that must exist.
 */
export function openDeviceStore(
  config: Config,
  log: Log,
  { mustExist = false }: { readonly mustExist?: boolean } = {},
): Promise<DeviceStore> {
  return openStore({ ...config.store, harakaDir: config.harakaDir, mustExist, log })
}

/** The push side. It loads the client for Apple with the first push or at warmUp(). */
export function openPushSide(
  config: Config,
  credentials: Credentials,
  store: DeviceStore,
  log: Log,
  clock?: Clock,
): Pusher {
  const { apns, push, harakaDir } = config
  return new Pusher(
    { ...apns, ...push },
    {
      store,
      credentials,
      files: credentialFiles(apns, harakaDir),
      load: () => loadCredentials(apns, harakaDir),
      log,
    },
    clock,
  )
}

/** A mail that is in the mailboxes of `recipients` since `at` (ms since the epoch). */
export interface Delivery {
  readonly recipients: readonly Address[]
  readonly mode: Mode
  readonly at: number
}

/** Confirmed deliveries → pushes. */
export interface DeliverySide {
  /** Pushes to the users behind the recipients. Returns at once. */
  push(delivery: Delivery): void
  /** Sends what is pending, for a bounded time. */
  close(): Promise<void>
}

/** Connects to store and Apple before the first mail has to wait for them, which would cost it a quarter of a second. */
export function openDeliverySide(
  { config, credentials }: Settings,
  lists: HarakaLists,
  log: Log,
): DeliverySide {
  const store = storeOf(config, log)
  const lookup = openUserLookup(config, lists, log)
  const push = openPushSide(config, credentials, store, log)
  const logged = (message: string) => (error: unknown) => log.error(message, { cause: reasonOf(error) })
  let closed = false
  const submit = (users: readonly string[], at: number) => {
    if (closed) return
    for (const user of users) push.submit({ user, kind: 'new', at })
  }
  push.warmUp()
  store.warnings().catch(logged('the device store cannot be opened; trying again'))
  return {
    push({ recipients, mode, at }) {
      lookup
        .usersOf(recipients, mode)
        .then(users => submit(users, at))
        .catch(logged('recipients could not be resolved'))
    },
    async close() {
      closed = true
      lookup.close()
      await push.close(STAGES.pushesMs)
      await store.close()
    },
  }
}

/** How the companion's listeners are opened. */
export type Listening = Pick<CompanionOptions, 'inherited' | 'socketOwner' | 'retry'>

/** The companion's running parts, in Haraka's child and in a service of its own. */
export interface Serving {
  /** Opens the store, and says what is wrong with it; rejects when that is impossible. */
  openStore(): Promise<void>
  /** Lets go of everything, for a bounded time. */
  close(): Promise<void>
}

/**
 * Opens the listeners. The store is opened after them: a registration that comes first opens it, and waits no longer than it
 * would for one that does not answer. Rejects when a listener cannot be opened, unless `listening.retry` is set.
 */
export async function startServing(
  { config, credentials }: Settings,
  listening: Listening,
  log: Log,
): Promise<Serving> {
  const store = storeOf(config, log)
  const push = openPushSide(config, credentials, store, log)
  const intake = openIntake(config, push, store, log)
  const letGo = async () => {
    await intake.close()
    await push.close(STAGES.pushesMs)
    await store.close()
  }
  for (const line of settingNotes(config)) log.notice(line)
  const missing = missingEventsListener(config)
  if (missing !== undefined) log.error(missing)
  const companion = await startRegistration(config, push, intake, store, listening, log).catch(
    async error => {
      await letGo()
      throw error
    },
  )
  const sweeping = sweepRegularly(store, log)
  const expiry = announceExpiry(() => push.credentials, log)
  const warmUp = setTimeout(() => push.warmUp(), WARM_UP_AFTER_MS).unref()
  return {
    async openStore() {
      for (const problem of foreignState(config)) log.error(problem)
      for (const warning of await store.warnings()) log.warn(warning)
    },
    async close() {
      expiry.close()
      clearTimeout(warmUp)
      clearInterval(sweeping)
      await companion.close()
      await letGo()
    },
  }
}

/** Dovecot's event exporter → the push side, where it is the source of new mail; and what a push has brought → the store. */
function openIntake(config: Config, push: Pusher, store: DeviceStore, log: Log): Intake {
  const isSource = pushSources(config).newMail === 'events'
  // Mail that LMTP or LDA has delivered is local, whichever lists Haraka has.
  const lookup = openUserLookup(config, { get: () => [] }, log)
  const newMail = (user: string, at: number) => isSource && push.submit({ user, kind: 'new', at })
  const lastPush = (user: string) => store.lastPush(user)
  const came = (user: string, at: Came) => store.update(user, record => noteCame(record, at))
  return new Intake(config.users, { newMail, lastPush, came, ...lookup }, log)
}

/** The registration side, whose notifications feed the push side. */
function startRegistration(
  config: Config,
  push: Pusher,
  events: Intake,
  store: DeviceStore,
  listening: Listening,
  log: Log,
): Promise<Companion> {
  const { newMail, changes } = pushSources(config)
  const rules = { maxDevices: config.store.maxDevices }
  return startCompanion(
    {
      ...config.registration,
      ...listening,
      socket: pathIn(config, config.registration.socket),
      eventsSocket: pathIn(config, config.delivery.eventsSocket),
      notified: { newMail: newMail === 'plugin', changes },
      lowercase: config.users.lowercase,
    },
    {
      save: (user, registration) =>
        store.update(user, record => register(record, registration, { ...rules, live: true })),
      replay: (user, registration) =>
        store.update(user, record => register(record, registration, { ...rules, now: Date.now() })),
      spool: makeSpool(config, log),
      onReady: listener => store.onReady(listener),
      devices: user => store.devices(user),
      events,
      submit: (event, devices) => push.submit(event, devices),
      pending: () => push.pending,
      topic: () => push.credentials.topic,
      store: storeWord(config),
      log,
    },
  )
}

/**
 * A store in LMDB beside the one that the configuration names. Beside a store on this host it is opened when it is
 * needed, or when an earlier run has left it; beside one that is elsewhere at the start: an outage leaves no time for it.
 */
function makeSpool(config: Config, log: Log): Spool {
  const directory = spoolDirectory(config)
  const { uri, maxDevices } = config.store
  const prepare = () => prepareSpool(directory)
  const place = { uri: `lmdb:${directory}`, harakaDir: config.harakaDir }
  const local = deviceStore({ ...config.store, ...place, prepare, log })
  const openAtStart = !uri.startsWith('lmdb:') || isUsed(directory)
  return new Spool({ local, directory, openAtStart, maxDevices }, log)
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
