/**
 * Configuration → running parts: the only file that joins stages, by passing functions. A process of Haraka's that delivers
 * has a delivery side, the companion serves; both have a push side of their own.
 */

import { isDeepStrictEqual } from 'node:util'
import type { Credentials } from './apns/credentials.ts'
import { announceExpiry } from './apns/renewal.ts'
import type { Clock } from './base/clock.ts'
import { STAGES } from './base/limits.ts'
import { type Log, reasonOf } from './base/log.ts'
import { digestOf, joined, notesTo, takeUp } from './config/changes.ts'
import { type Config, pathIn, pushSources } from './config/config.ts'
import type { Address, Mode } from './delivery/address.ts'
import type { HarakaLists } from './delivery/local.ts'
import { openUserLookup } from './delivery/recipients.ts'
import type { KeyedStore } from './device/keyed-store.ts'
import { deviceStore, openStore } from './device/open.ts'
import { register } from './device/record.ts'
import type { DeviceStore } from './device/store.ts'
import { Intake } from './intake/intake.ts'
import { Pusher } from './push/pusher.ts'
import { type Companion, type CompanionOptions, startCompanion } from './registration/companion.ts'
import { Spool } from './registration/spool.ts'
import type { Settings } from './settings.ts'
import { foreignState, isUsed, prepareSpool, spoolDirectory } from './state.ts'

/** How often expired devices are swept out of the store. */
const SWEEP_EVERY_MS = 6 * 3_600_000

/** From the companion's start to its connection to Apple, for which no phone waits, in milliseconds. */
const WARM_UP_AFTER_MS = 1_000

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
  return new Pusher(joined(config.apns, config.push), { store, credentials, log }, clock)
}

/** Has a running side work with `next`. `config` is its own; `stores` are those that it has open. */
function change(config: Config, push: Pusher, stores: readonly KeyedStore[], next: Settings): void {
  const known = [config.apns, push.credentials]
  const isSame = isDeepStrictEqual(known, [next.config.apns, next.credentials])
  takeUp(config, next.config)
  for (const store of stores) store.expireAfter(config.store.expireAfterMs)
  if (!isSame) push.renew(next.credentials)
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
  /** Works with these settings from now on, but for what needs a restart. */
  takeUp(settings: Settings): void
  /** Sends what is pending, for a bounded time. */
  close(): Promise<void>
}

/** Connects to store and Apple before the first mail has to wait for them, which would cost it a quarter of a second. */
export function openDeliverySide(settings: Settings, lists: HarakaLists, log: Log): DeliverySide {
  const { config, credentials } = structuredClone(settings)
  const store = deviceStore({ ...config.store, harakaDir: config.harakaDir, log })
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
    takeUp: next => change(config, push, [store], next),
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
  /** Works with these settings from now on, but for what needs a restart. */
  takeUp(settings: Settings): void
  /** Lets go of everything, for a bounded time. */
  close(): Promise<void>
}

/**
 * Opens the listeners. The store is opened after them: a registration that comes first opens it, and waits no longer than it
 * would for one that does not answer. Rejects when a listener cannot be opened, unless `listening.retry` is set.
 */
export async function startServing(settings: Settings, listening: Listening, log: Log): Promise<Serving> {
  const { config, credentials } = structuredClone(settings)
  const spooled = spoolStore(config, log)
  const store = deviceStore({ ...config.store, harakaDir: config.harakaDir, log })
  const push = openPushSide(config, credentials, store, log)
  const intake = openIntake(config, push, log)
  const letGo = async () => {
    await intake.close()
    await push.close(STAGES.pushesMs)
    await store.close()
  }
  const sayNotes = notesTo(log)
  sayNotes(config)
  const spool = makeSpool(config, spooled, log)
  const companion = await startRegistration(config, push, intake, store, spool, listening, log).catch(
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
    takeUp(next) {
      change(config, push, [store, spooled], next)
      sayNotes(config)
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

/** Dovecot's event exporter → the push side, where it is the source of new mail; otherwise its events are only counted. */
function openIntake(config: Config, push: Pusher, log: Log): Intake {
  const isSource = () => pushSources(config).newMail === 'events'
  // What LMTP or LDA has delivered is local, whatever lists Haraka has.
  const lookup = openUserLookup(config, { get: () => [] }, log)
  const newMail = (user: string, at: number) => isSource() && push.submit({ user, kind: 'new', at })
  return new Intake(config.users, { newMail, ...lookup }, log)
}

/** The registration side, whose notifications feed the push side. */
function startRegistration(
  config: Config,
  push: Pusher,
  events: Intake,
  store: DeviceStore,
  spool: Spool,
  listening: Listening,
  log: Log,
): Promise<Companion> {
  const { registration, users, delivery } = config
  const notified = {
    get newMail() {
      return pushSources(config).newMail === 'plugin'
    },
    get changes() {
      return pushSources(config).changes
    },
  }
  const paths = {
    socket: pathIn(config, registration.socket),
    eventsSocket: pathIn(config, delivery.eventsSocket),
  }
  const limit = () => ({ maxDevices: config.store.maxDevices })
  return startCompanion(joined(joined(registration, users), { ...listening, ...paths, notified }), {
    save: (user, registration) =>
      store.update(user, record => register(record, registration, { ...limit(), live: true })),
    replay: (user, registration) =>
      store.update(user, record => register(record, registration, { ...limit(), now: Date.now() })),
    spool,
    onReady: listener => store.onReady(listener),
    devices: user => store.devices(user),
    events,
    submit: (event, devices) => push.submit(event, devices),
    pending: () => push.pending,
    topic: () => push.credentials.topic,
    configuration: () => digestOf(config),
    log,
  })
}

/** A store in LMDB beside the one that the configuration names. */
function spoolStore(config: Config, log: Log): KeyedStore {
  const directory = spoolDirectory(config)
  const prepare = () => prepareSpool(directory)
  const place = { uri: `lmdb:${directory}`, harakaDir: config.harakaDir }
  return deviceStore({ ...config.store, ...place, prepare, log })
}

/**
 * Beside a store on this host it is opened when it is
 * needed, or when an earlier run has left it; beside one that is elsewhere at the start: an outage leaves no time for it.
 */
function makeSpool(config: Config, local: KeyedStore, log: Log): Spool {
  const directory = spoolDirectory(config)
  const openAtStart = !config.store.uri.startsWith('lmdb:') || isUsed(directory)
  return new Spool(joined(config.store, { local, directory, openAtStart }), log)
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
