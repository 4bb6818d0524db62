/** The companion's running parts, whoever runs it: Haraka's child or a service of its own. */

import type { Credentials } from './apns/credentials.ts'
import { announceExpiry } from './apns/renewal.ts'
import type { Log } from './base/log.ts'
import type { Config } from './config/config.ts'
import type { DeviceStore } from './device/store.ts'
import type { CompanionOptions } from './registration/companion.ts'
import { deferDeviceStore, GRACE_MS, openPushSide, openRegistrationSide } from './service.ts'
import { foreignState } from './state.ts'

/** From the start to the connection to Apple, which nobody waits for, in milliseconds. */
const WARM_UP_AFTER_MS = 1_000

export interface Serving {
  /** Opens the store, and says what is wrong with it; rejects when that is impossible. */
  openStore(): Promise<void>
  /** Lets go of everything, for a bounded time. */
  close(): Promise<void>
}

/**
 * Opens the doors. The store is opened after them: a registration that comes first opens it, and waits no longer than it
 * would for one that does not answer. Rejects when a door cannot be opened, unless `doors.retry` is set.
 */
export async function startServing(
  config: Config,
  credentials: Credentials,
  doors: Pick<CompanionOptions, 'inherited' | 'socketOwner' | 'retry'>,
  log: Log,
): Promise<Serving> {
  const store = deferDeviceStore(config, log)
  const push = openPushSide(config, credentials, store, log)
  const letGo = async () => {
    await push.close(GRACE_MS)
    await store.close()
  }
  const companion = await openRegistrationSide(config, push, store, doors, log).catch(async error => {
    await letGo()
    throw error
  })
  const expiry = announceExpiry(() => push.credentials(), log)
  const warmUp = setTimeout(() => push.warmUp(), WARM_UP_AFTER_MS).unref()
  return {
    openStore: () => openStore(config, store, log),
    async close() {
      expiry.close()
      clearTimeout(warmUp)
      await companion.close()
      await letGo()
    },
  }
}

async function openStore(config: Config, store: DeviceStore, log: Log): Promise<void> {
  for (const problem of foreignState(config)) log.error(problem)
  const warnings = await store.warnings()
  for (const warning of warnings) log.warn(warning)
}
