/**
 * The changes of one user's devices, as pure functions on a UserRecord: each returns the very record it got
 * when nothing changes, so that a store need not write. Knows no store and no clock: every time comes in as milliseconds
 * since the epoch.
 */

import { type Came, type Device, type GoneDevice, sameDevice, type UserRecord } from './device.ts'

/** A device as it registers at the time `at`. */
export type Registration = Omit<Device, 'registeredAt' | 'lastSeen'> & { readonly at: number }

/**
 * How many reports of Apple's are remembered per user. They only guard against late writes (a spool, an import), so
 * the newest are enough; a bound, because their number is in the hands of mail users.
 */
const MAX_GONE = 100

/**
 * How many characters the mailbox names of all devices of a user may have together. The record is read at every mail
 * to its user, and a phone chooses its names: 50 devices of 500 long ones would be 25 MB. A real phone has some hundreds.
 */
const MAX_MAILBOX_TEXT = 1024 * 1024

export interface RegisterRules {
  /** Devices per user. */
  readonly maxDevices: number
  /** The phone asks for it now. Without: an old registration comes once more, out of a spool or a file. */
  readonly live?: boolean
  /**
   * The present, for a replay: a later time in the record is of another host's clock that is ahead, and counts for
   * nothing.
   */
  readonly now?: number
}

/**
 * The record after a registration: a new device, or the same one refreshed (it keeps `registeredAt`). A live one is
 * news whatever times are in the record: another host's clock may have written them. A replay that is no news changes
 * nothing: one that is not newer than the device's last registration, and one from before Apple reported the device
 * gone. Beyond `maxDevices`, and beyond MAX_MAILBOX_TEXT, the longest unseen device makes room, but never for a replay
 * that is older still.
 */
export function register(record: UserRecord, registration: Registration, rules: RegisterRules): UserRecord {
  const { account, token, mailboxes, subtopic, topic, at } = registration
  const known = record.devices.find(device => sameDevice(device, registration))
  const isLater = (time: number) => time >= at && time <= (rules.now ?? Number.POSITIVE_INFINITY)
  if (!rules.live) {
    if (known && isLater(known.lastSeen)) return record
    if (record.gone.some(gone => sameDevice(gone, registration) && isLater(gone.at))) return record
  }
  const registeredAt = Math.min(known?.registeredAt ?? at, at)
  const device: Device = { account, token, mailboxes, subtopic, topic, registeredAt, lastSeen: at }
  const all = [...record.devices.filter(other => other !== known), device]
  const seen = (other: Device) => (rules.live && other === device ? Number.POSITIVE_INFINITY : other.lastSeen)
  const devices = withinText(latest(all, rules.maxDevices, seen), seen)
  if (!devices.includes(device)) return record
  return { ...record, devices, gone: record.gone.filter(gone => !sameDevice(gone, device)) }
}

/**
 * The record after Apple's "gone since `at`" (410 with a timestamp). A device that has registered after `at` stays, as
 * Apple's documentation of the response's `timestamp` asks; otherwise it is removed, and remembered as gone, so that no
 * older registration brings it back.
 */
export function removeGone(
  record: UserRecord,
  device: Pick<Device, 'account' | 'token'>,
  at: number,
): UserRecord {
  const known = record.devices.find(other => sameDevice(other, device))
  if (known && known.lastSeen > at) return record
  const reported = record.gone.find(gone => sameDevice(gone, device))
  if (!known && reported && reported.at >= at) return record

  const gone: GoneDevice = {
    account: device.account,
    token: device.token,
    at: Math.max(at, reported?.at ?? at),
  }
  const others = record.gone.filter(other => other !== reported)
  return {
    ...record,
    devices: record.devices.filter(other => other !== known),
    gone: latest([...others, gone], MAX_GONE, entry => entry.at),
  }
}

/** The record without the devices that `matches` picks. They may register again at any time. */
export function forget(record: UserRecord, matches: (device: Device) => boolean): UserRecord {
  const devices = record.devices.filter(device => !matches(device))
  return devices.length === record.devices.length ? record : { ...record, devices }
}

/** The record without what is older than `expireAfterMs` at the time `now`: devices not seen, reports of Apple's. */
export function withoutExpired(record: UserRecord, now: number, expireAfterMs: number): UserRecord {
  const since = now - expireAfterMs
  const isCurrent = ({ lastSeen }: Device) => lastSeen > since
  const isRecent = ({ at }: GoneDevice) => at > since
  if (record.devices.every(isCurrent) && record.gone.every(isRecent)) return record
  return { ...record, devices: record.devices.filter(isCurrent), gone: record.gone.filter(isRecent) }
}

/** How exact `came` is, in milliseconds: a phone opens several connections, and each change is written to disk. */
const CAME_EXACT_MS = 60_000

/** The record after a phone came because of a push. Changes nothing for a user without devices, nor a minute's second time. */
export function noteCame(record: UserRecord, came: Came): UserRecord {
  const isNews = !record.came || Math.abs(came.at - record.came.at) >= CAME_EXACT_MS
  return isNews && record.devices.length > 0 ? { ...record, came } : record
}

/** `renewed`: the device was there, and the file holds a later registration of it. */
export type Outcome = 'taken' | 'renewed' | 'known' | 'gone' | 'no room'

export interface Restored {
  /** The very record that came in, unless the outcome is `taken` or `renewed`. */
  readonly record: UserRecord
  readonly outcome: Outcome
}

export interface RestoreRules {
  /** Devices per user. */
  readonly maxDevices: number
  /** Whether `lastSeen` comes from the file. If not, the device's age is unknown, and all that is known of it is newer. */
  readonly dated: boolean
}

/**
 * The record after `device` has come out of a file, with its own `registeredAt` and `lastSeen`. Data from a file is as old
 * as it says, or of unknown age; it never wins over news from a phone or from Apple.
 */
export function restore(record: UserRecord, device: Device, { maxDevices, dated }: RestoreRules): Restored {
  const isNewer = (at: number): boolean => !dated || at >= device.lastSeen
  const known = record.devices.find(other => sameDevice(other, device))
  if (known && isNewer(known.lastSeen)) return { record, outcome: 'known' }
  const gone = record.gone.find(other => sameDevice(other, device))
  if (gone && isNewer(gone.at)) return { record, outcome: 'gone' }
  if (!dated && record.devices.length >= maxDevices) return { record, outcome: 'no room' }

  const { registeredAt, lastSeen, ...identity } = device
  const after = register(record, { ...identity, at: lastSeen }, { maxDevices })
  if (after === record) return { record, outcome: 'no room' }
  const devices = after.devices.map(other =>
    sameDevice(other, device)
      ? { ...other, registeredAt: Math.min(other.registeredAt, registeredAt) }
      : other,
  )
  return { record: { ...after, devices }, outcome: known ? 'renewed' : 'taken' }
}

/** The latest of `devices`, by `time`, whose mailbox names have MAX_MAILBOX_TEXT characters at most, in the order given. */
function withinText(devices: readonly Device[], time: (device: Device) => number): readonly Device[] {
  const text = ({ mailboxes }: Device) => mailboxes.reduce((sum, name) => sum + name.length, 0)
  const total = devices.reduce((sum, device) => sum + text(device), 0)
  if (total <= MAX_MAILBOX_TEXT) return devices
  return withinText(latest(devices, devices.length - 1, time), time)
}

/** The `count` items of the latest time, in the order they came in; of equal ones the later item. */
function latest<T>(items: readonly T[], count: number, time: (item: T) => number): readonly T[] {
  if (items.length <= count) return items
  const kept = new Set(
    [...items]
      .reverse()
      .sort((a, b) => time(b) - time(a))
      .slice(0, count),
  )
  return items.filter(item => kept.has(item))
}
