/**
 * What an import may do to one user's record: a pure function beside those of record.ts. Data from a file is as old as
 * it says, or of unknown age; it never wins over what the store has learned from a phone or from Apple.
 */

import { type Device, sameDevice, type UserRecord } from './device.ts'
import { register } from './record.ts'

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

/** The record after `device` has come out of a file, with its own `registeredAt` and `lastSeen`. */
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
  const devices = after.devices.map(other => (sameDevice(other, device) ? since(other, registeredAt) : other))
  return { record: { ...after, devices }, outcome: known ? 'renewed' : 'taken' }
}

function since(device: Device, registeredAt: number): Device {
  return { ...device, registeredAt: Math.min(device.registeredAt, registeredAt) }
}
