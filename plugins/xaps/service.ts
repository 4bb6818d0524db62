/**
 * Configuration → running parts: here stages are joined, by passing functions. A process of Haraka's that delivers has a
 * delivery side, the companion serves (serving.ts); both have a push side of their own.
 */

import { isDeepStrictEqual } from 'node:util'
import { type Clock, systemClock } from './base/clock.ts'
import { STAGES } from './base/limits.ts'
import { type Log, reasonOf } from './base/log.ts'
import { joined, takeUp } from './config/changes.ts'
import type { Config } from './config/config.ts'
import type { Address, Mode } from './delivery/address.ts'
import type { HarakaLists } from './delivery/local.ts'
import { openUserLookup, type Resolved } from './delivery/recipients.ts'
import type { KeyedStore } from './device/keyed-store.ts'
import { observed } from './device/observed-store.ts'
import { deviceStore, openStore } from './device/open.ts'
import type { DeviceStore } from './device/store.ts'
import type { Sums } from './observe/metrics.ts'
import { Observer } from './observe/observer.ts'
import type { Report } from './observe/report.ts'
import { Journal } from './push/journal.ts'
import { JournalDirectory } from './push/journal-files.ts'
import { Pusher, type PusherParts } from './push/pusher.ts'
import type { Settings } from './settings.ts'
import { pendingDirectory, preparePrivate } from './state.ts'

/** The device store that the configuration names, opened at its first use. What it does is told to `observer`. */
export function storeOf(config: Config, observer: Observer, log: Log): KeyedStore {
  const store = deviceStore({ ...config.store, harakaDir: config.harakaDir, log })
  return observed(store, (...operation) => observer.storeOperation(...operation))
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

/** Keeps on this host's disk which users have pushes pending in this process. */
export function journalOf(config: Config, log: Log): Journal {
  const directory = pendingDirectory(config)
  return new Journal(new JournalDirectory(directory, () => preparePrivate(directory)), log, systemClock)
}

/** The push side. It loads the client for Apple with the first push or at warmUp(). */
export function openPushSide({ apns, push }: Config, parts: PusherParts, clock?: Clock): Pusher {
  return new Pusher(joined(apns, push), parts, clock)
}

/** Has a running side work with `next`, but for what needs a restart. `config` is its own; `stores` are those that it has open. */
export function change(config: Config, push: Pusher, stores: readonly KeyedStore[], next: Settings): void {
  const known = [config.apns, push.credentials]
  const isSame = isDeepStrictEqual(known, [next.config.apns, next.credentials])
  takeUp(config, next.config)
  for (const store of stores) store.expireAfter(config.store.expireAfterMs)
  push.settingsChanged()
  if (!isSame) push.renew(next.credentials)
}

/** A mail that is in the mailboxes of `recipients` since `at` (ms since the epoch). */
export interface Delivery {
  readonly recipients: readonly Address[]
  readonly mode: Mode
  readonly at: number
  /** Its uuid in Haraka. */
  readonly mail: string | undefined
}

/** A report whose process is not named yet. */
export type LocalReport = Omit<Report, 'process'>

/** Confirmed deliveries → pushes. */
export interface DeliverySide {
  /** Pushes to the users behind the recipients. Returns at once. */
  push(delivery: Delivery): void
  /** Works with these settings from now on, but for what needs a restart. */
  takeUp(settings: Settings): void
  /** What it has counted so far. */
  sums(): Sums
  /** The same with all else that is known of it; decisions only since the last report. */
  report(): LocalReport
  /** Sends what is pending, for a bounded time. */
  close(): Promise<void>
}

/** Connects to store and Apple before the first mail has to wait for them, which would cost it a quarter of a second. */
export function openDeliverySide(settings: Settings, lists: HarakaLists, log: Log): DeliverySide {
  const { config, credentials } = structuredClone(settings)
  const observer = new Observer(log, systemClock)
  const store = storeOf(config, observer, log)
  const lookup = openUserLookup(config, lists, log)
  const push = openPushSide(config, { store, credentials, observer, journal: journalOf(config, log), log })
  const logged = (message: string) => (error: unknown) => log.error(message, { cause: reasonOf(error) })
  let closed = false
  const submit = ({ users, relayed, unknown }: Resolved, at: number, mail: string | undefined) => {
    if (closed) return
    if (relayed > 0) observer.noUser('relayed', relayed, mail)
    if (unknown > 0) observer.noUser('unknown_user', unknown, mail)
    for (const user of users) push.submit({ user, kind: 'new', at, mail })
  }
  push.warmUp()
  push.takeOver()
  store.warnings().catch(logged('the device store cannot be opened; trying again'))
  return {
    push({ recipients, mode, at, mail }) {
      lookup
        .resolve(recipients, mode)
        .then(found => submit(found, at, mail))
        .catch(logged('recipients could not be resolved'))
    },
    takeUp: next => change(config, push, [store], next),
    sums: () => observer.sums,
    report: () => observer.report(push.pending, push.credentials.notAfter),
    async close() {
      closed = true
      lookup.close()
      await push.close(STAGES.pushesMs)
      await store.close()
    },
  }
}
