/** `--dry-run`: the same changes to the same records, none of which reaches the store. */

import { EMPTY_RECORD, type UserRecord } from '../../device/device.ts'
import type { DeviceStore } from '../../device/store.ts'

/**
 * Users whose rehearsed records are remembered, so that their next device finds the one before. Files are grouped by
 * user; only what stands further apart than this is counted as if it came first.
 */
const REMEMBERED = 10_000

/** An `update` that reads the store and changes nothing in it. */
export function rehearse(store: Pick<DeviceStore, 'update'>, remembered = REMEMBERED): DeviceStore['update'] {
  const records = new Map<string, Promise<UserRecord>>()
  return (user, change) => {
    const record = (records.get(user) ?? recordIn(store, user)).then(change)
    records.delete(user)
    records.set(user, record)
    const [oldest] = records.keys()
    if (records.size > remembered && oldest !== undefined) records.delete(oldest)
    return record
  }
}

/** The whole record, with Apple's reports: a change that returns what it got is none. */
async function recordIn(store: Pick<DeviceStore, 'update'>, user: string): Promise<UserRecord> {
  let seen = EMPTY_RECORD
  await store.update(user, record => {
    seen = record
    return record
  })
  return seen
}
