/**
 * Configuration → the companion's running parts: the registration side and the intake, which feed a push side. They are joined
 * by passing functions, as in service.ts.
 */

import { announceExpiry } from './apns/renewal.ts'
import { STAGES } from './base/limits.ts'
import type { Log } from './base/log.ts'
import { digestOf, joined, notesTo } from './config/changes.ts'
import { type Config, pathIn, pushSources } from './config/config.ts'
import { openUserLookup } from './delivery/recipients.ts'
import type { Came } from './device/device.ts'
import type { KeyedStore } from './device/keyed-store.ts'
import { deviceStore } from './device/open.ts'
import { noteCame, register } from './device/record.ts'
import type { DeviceStore } from './device/store.ts'
import { Intake } from './intake/intake.ts'
import type { Pusher } from './push/pusher.ts'
import { type Companion, type CompanionOptions, startCompanion } from './registration/companion.ts'
import { Spool } from './registration/spool.ts'
import { change, openPushSide, storeOf } from './service.ts'
import type { Settings } from './settings.ts'
import { foreignState, isUsed, prepareSpool, spoolDirectory } from './state.ts'

/** How often expired devices are swept out of the store. */
const SWEEP_EVERY_MS = 6 * 3_600_000

/** From the companion's start to its connection to Apple, for which no phone waits, in milliseconds. */
const WARM_UP_AFTER_MS = 1_000

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
  const store = storeOf(config, log)
  const push = openPushSide(config, credentials, store, log)
  const intake = openIntake(config, push, store, log)
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

/** Dovecot's event exporter → the push side, where it is the source of new mail; and what a push has brought → the store. */
function openIntake(config: Config, push: Pusher, store: DeviceStore, log: Log): Intake {
  const isSource = () => pushSources(config).newMail === 'events'
  // Mail that LMTP or LDA has delivered is local, whichever lists Haraka has.
  const lookup = openUserLookup(config, { get: () => [] }, log)
  const newMail = (user: string, at: number) => isSource() && push.submit({ user, kind: 'new', at })
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
 * The spool in `local`. Beside a store on this host it is opened when it is needed, or when an earlier run has left it; beside
 * one that is elsewhere at the start: an outage leaves no time for it.
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
