/**
 * Configuration → the companion's running parts: the registration side and the intake, which feed a push side. They are joined
 * by passing functions, as in service.ts.
 */

import { announceExpiry } from './apns/renewal.ts'
import { systemClock } from './base/clock.ts'
import { STAGES } from './base/limits.ts'
import type { Log } from './base/log.ts'
import { packageVersion } from './base/version.ts'
import { digestOf, joined, notesTo } from './config/changes.ts'
import { type Config, pathIn, pushSources } from './config/config.ts'
import { openUserLookup } from './delivery/recipients.ts'
import { countDevices, type DeviceCounts } from './device/counts.ts'
import type { Came } from './device/device.ts'
import type { KeyedStore } from './device/keyed-store.ts'
import { deviceStore } from './device/open.ts'
import { noteCame, register } from './device/record.ts'
import type { DeviceStore } from './device/store.ts'
import { Intake } from './intake/intake.ts'
import { Collection } from './observe/collection.ts'
import type { Decision } from './observe/decisions.ts'
import { mailsOf, Observer } from './observe/observer.ts'
import type { Report } from './observe/report.ts'
import type { Pusher } from './push/pusher.ts'
import { type Companion, type CompanionOptions, startCompanion } from './registration/companion.ts'
import { Spool } from './registration/spool.ts'
import { change, journalOf, openPushSide, storeOf } from './service.ts'
import type { Settings } from './settings.ts'
import { foreignState, isUsed, preparePrivate, spoolDirectory, storeWord } from './state.ts'

/** How often expired devices are swept out of the store, and the others counted; and the first time after the start. */
const SWEEP_EVERY_MS = 3_600_000
const FIRST_SWEEP_MS = 30_000

/** From the companion's start to its connection to Apple, for which no phone waits, in milliseconds. */
const WARM_UP_AFTER_MS = 1_000

/** How the companion's listeners are opened. */
export interface Listening extends Pick<CompanionOptions, 'inherited' | 'socketOwner' | 'retry'> {
  /** Haraka has started this process, and tells what its others report. */
  readonly inHaraka?: boolean
}

/** The companion's running parts, in Haraka's child and in a service of its own. */
export interface Serving {
  /** Opens the store, and says what is wrong with it; rejects when that is impossible. */
  openStore(): Promise<void>
  /** Reports of other processes of the instance. */
  hear(reports: readonly Report[]): void
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
  const observer = new Observer(log, systemClock)
  const store = storeOf(config, observer, log)
  const push = openPushSide(config, { store, credentials, observer, journal: journalOf(config, log), log })
  const intake = openIntake(config, push, store, observer, log)
  const sayNotes = notesTo(log)
  sayNotes(config)
  const spool = makeSpool(config, spooled, log)
  const sweeping = sweepRegularly(store, () => push.credentials.topics, log)
  const collection = new Collection(
    {
      own: () => ({ ...observer.report(push.pending, push.credentials.notAfter), process: 'companion' }),
      spooled: () => spool.size,
      devices: sweeping.counts,
      events: () => intake.count,
      // Where Dovecot is the source of new mail the workers push nothing, and report nothing.
      get inHaraka() {
        return listening.inHaraka === true && pushSources(config).newMail === 'haraka'
      },
      version: packageVersion(),
      configuration: () => digestOf(config),
    },
    systemClock,
  )
  const letGo = async () => {
    collection.close()
    sweeping.close()
    await intake.close()
    await push.close(STAGES.pushesMs)
    await store.close()
  }
  const parts = { push, store, spool, intake, observer, collection, log }
  const companion = await startRegistration(config, parts, listening).catch(async error => {
    await letGo()
    throw error
  })
  const expiry = announceExpiry(() => push.credentials, log)
  const warmUp = setTimeout(() => {
    push.warmUp()
    push.takeOver()
  }, WARM_UP_AFTER_MS).unref()
  return {
    async openStore() {
      for (const problem of foreignState(config)) log.error(problem)
      for (const warning of await store.warnings()) log.warn(warning)
    },
    hear: reports => collection.hear(reports),
    takeUp(next) {
      change(config, push, [store, spooled], next)
      sayNotes(config)
    },
    async close() {
      expiry.close()
      clearTimeout(warmUp)
      await companion.close()
      await letGo()
    },
  }
}

/** Dovecot's event exporter → the push side, where it is the source of new mail; and what a push has brought → the store. */
function openIntake(config: Config, push: Pusher, store: DeviceStore, observer: Observer, log: Log): Intake {
  const isSource = () => pushSources(config).newMail === 'events'
  // Mail that LMTP or LDA has delivered is local, whichever lists Haraka has.
  const lookup = openUserLookup(config, { get: () => [] }, log)
  const notPushed = (decision: Decision, user: string, mail: string | undefined) =>
    observer.decided(decision, { user, mails: mailsOf(mail), isChange: !isSource() })
  const newMail = (user: string, at: number, mail: string | undefined) => {
    if (isSource()) push.submit({ user, kind: 'new', at, mail })
    else notPushed('other_source', user, mail)
  }
  const lastPush = (user: string) => store.lastPush(user)
  const came = (user: string, at: Came) => store.update(user, record => noteCame(record, at))
  return new Intake(config.users, { newMail, notPushed, lastPush, came, ...lookup }, log)
}

interface Parts {
  readonly push: Pusher
  readonly store: DeviceStore
  readonly spool: Spool
  readonly intake: Intake
  readonly observer: Observer
  readonly collection: Collection
  readonly log: Log
}

/** The registration side, whose notifications feed the push side. */
function startRegistration(
  config: Config,
  { push, store, spool, intake, observer, collection, log }: Parts,
  listening: Listening,
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
    events: intake,
    submit: (event, devices) => push.submit(event, devices),
    registered: outcome => observer.registered(outcome),
    notPushed: (decision, user, isChange) =>
      observer.decided(decision, { user, mails: mailsOf(undefined), isChange }),
    pending: () => push.pending,
    topic: () => push.credentials.topic,
    configuration: () => digestOf(config),
    store: storeWord(config),
    view: collection,
    log,
  })
}

/** A store in LMDB beside the one that the configuration names. */
function spoolStore(config: Config, log: Log): KeyedStore {
  const directory = spoolDirectory(config)
  const prepare = () => preparePrivate(directory)
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

/** Sweeps, and counts what stays. */
function sweepRegularly(
  store: DeviceStore,
  topics: () => readonly string[],
  log: Log,
): { counts(): DeviceCounts | undefined; close(): void } {
  let counted: DeviceCounts | undefined
  const sweep = async (): Promise<void> => {
    try {
      const counting = countDevices(Date.now(), topics())
      const removed = await store.sweep(counting.add)
      counted = counting.counts()
      if (removed > 0) log.info('devices that did not register again are forgotten', { devices: removed })
    } catch (error) {
      log.debug('sweeping the device store', { cause: String(error) })
    }
  }
  const timers = [setTimeout(sweep, FIRST_SWEEP_MS).unref(), setInterval(sweep, SWEEP_EVERY_MS).unref()]
  return { counts: () => counted, close: () => timers.forEach(clearTimeout) }
}
