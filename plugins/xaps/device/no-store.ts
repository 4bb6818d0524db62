/** What stands for a device store where none has been made yet: nobody has registered. */

import { EMPTY_RECORD } from './device.ts'
import type { DeviceStore } from './store.ts'

/** Rejects every change. */
export const NO_STORE: DeviceStore = {
  devices: async () => [],
  async update(_user, change) {
    if (change(EMPTY_RECORD) !== EMPTY_RECORD) throw new Error('there is no device store yet')
    return EMPTY_RECORD
  },
  claim: async () => ({ kind: 'granted', id: 0 }),
  async *users() {
    // Nobody.
  },
  sweep: async () => 0,
  warnings: async () => [],
  onReady: () => undefined,
  close: async () => undefined,
}
