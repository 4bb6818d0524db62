/**
 * Configuration → running parts: here stages are joined, by passing functions. A process of Haraka's that delivers has a
 * delivery side, the companion serves (serving.ts); both have a push side of their own.
 */

import { isDeepStrictEqual } from 'node:util'
import type { Credentials } from './apns/credentials.ts'
import type { Clock } from './base/clock.ts'
import { STAGES } from './base/limits.ts'
import { type Log, reasonOf } from './base/log.ts'
import { joined, takeUp } from './config/changes.ts'
import type { Config } from './config/config.ts'
import type { Address, Mode } from './delivery/address.ts'
import type { HarakaLists } from './delivery/local.ts'
import { openUserLookup } from './delivery/recipients.ts'
import type { KeyedStore } from './device/keyed-store.ts'
import { deviceStore, openStore } from './device/open.ts'
import type { DeviceStore } from './device/store.ts'
import { Pusher } from './push/pusher.ts'
import type { Settings } from './settings.ts'

/** The device store that the configuration names, opened at its first use. */
export function storeOf(config: Config, log: Log): KeyedStore {
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
  return new Pusher(joined(config.apns, config.push), { store, credentials, log }, clock)
}

/** Has a running side work with `next`, but for what needs a restart. `config` is its own; `stores` are those that it has open. */
export function change(config: Config, push: Pusher, stores: readonly KeyedStore[], next: Settings): void {
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
    takeUp: next => change(config, push, [store], next),
    async close() {
      closed = true
      lookup.close()
      await push.close(STAGES.pushesMs)
      await store.close()
    },
  }
}
