/**
 * One live push per phone. iOS makes a new account id when an account is added again, when a phone is restored, after
 * some updates, and keeps the device token: the phone ignores a push with the old id. Apple keeps one push per device
 * for a phone that is off, so a push with the old id could take the place of the good one. Pure functions on the
 * devices of one user.
 */

import type { Device } from './device.ts'

/**
 * How much longer than another registration of its token one may be unseen, in milliseconds. iOS registers again after
 * about 23 hours, so two days are one renewal missed; a phone with the mailbox set up twice renews both every day.
 */
export const SUPERSEDED_AFTER_MS = 2 * 86_400_000

/**
 * Whether the phone of `device`, one of `devices`, has gone over to another account id. `now` is in milliseconds since
 * the epoch; a later time in a record is of another host's clock that is ahead, and counts as now.
 */
export function isSuperseded(device: Device, devices: readonly Device[], now: number): boolean {
  const seenAt = ({ lastSeen }: Device): number => Math.min(lastSeen, now)
  return devices.some(
    other => other.token === device.token && seenAt(other) - seenAt(device) > SUPERSEDED_AFTER_MS,
  )
}

/** The devices of one user that are worth a push, in the order given. */
export function withoutSuperseded(devices: readonly Device[], now: number): readonly Device[] {
  return devices.length < 2 ? devices : devices.filter(device => !isSuperseded(device, devices, now))
}
