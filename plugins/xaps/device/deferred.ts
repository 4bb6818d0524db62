/**
 * A store that is opened at its first use and, where that fails, again later: inside Haraka mail matters more than
 * a device store, and each process must open the store for itself, after it has dropped its privileges.
 */

import { type Clock, systemClock } from '../base/clock.ts'
import type { DeviceStore } from './store.ts'

/** After a failure to open, how long callers get the same error before it is tried again. */
const TRY_AGAIN_MS = 5_000

export function deferStore(open: () => Promise<DeviceStore>, clock: Clock = systemClock): DeviceStore {
  let opened: DeviceStore | undefined
  let opening: Promise<DeviceStore> | undefined
  let failedAt = 0
  const listeners: (() => void)[] = []
  const openOnce = (): Promise<DeviceStore> => {
    if (failedAt > 0 && clock.now() - failedAt >= TRY_AGAIN_MS) opening = undefined
    opening ??= open().then(
      store => {
        opened = store
        for (const listener of listeners) {
          store.onReady(listener)
          if (failedAt > 0) listener()
        }
        failedAt = 0
        return store
      },
      error => {
        failedAt = clock.now()
        throw error
      },
    )
    return opening
  }
  const using = <T>(work: (store: DeviceStore) => Promise<T>): Promise<T> =>
    opened ? work(opened) : openOnce().then(work)
  return {
    devices: user => using(store => store.devices(user)),
    update: (user, change) => using(store => store.update(user, change)),
    claim: (push, request) => using(store => store.claim(push, request)),
    users: async function* () {
      yield* (await openOnce()).users()
    },
    sweep: () => using(store => store.sweep()),
    warnings: () => using(store => store.warnings()),
    onReady(listener) {
      listeners.push(listener)
      opened?.onReady(listener)
    },
    async close() {
      // A store that could not be opened has told its callers so, and leaves nothing to close.
      const store = await opening?.catch(() => undefined)
      await store?.close()
    },
  }
}
