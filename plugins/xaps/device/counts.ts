/** How many devices there are, and when they were last seen: counted while the store is swept. */

import type { Device } from './device.ts'

const DAY_MS = 86_400_000

/** Plain data. */
export interface DeviceCounts {
  /** Milliseconds since the epoch. */
  readonly countedAt: number
  readonly users: number
  readonly devices: number
  /** Devices by when they were last seen: within a day, two days, a week, longer ago. */
  readonly lastSeen: {
    readonly day: number
    readonly twoDays: number
    readonly week: number
    readonly longer: number
  }
  /** Devices that listen to a topic that the credentials are not good for. */
  readonly otherTopic: number
}

/** Counts the devices of users that `add` is called with. `now`: ms since the epoch; `topics`: those that are pushed. */
export function countDevices(
  now: number,
  topics: readonly string[],
): {
  add(devices: readonly Device[]): void
  counts(): DeviceCounts
} {
  let users = 0
  let devices = 0
  let otherTopic = 0
  const lastSeen = { day: 0, twoDays: 0, week: 0, longer: 0 }
  return {
    add(found) {
      users += 1
      devices += found.length
      for (const device of found) {
        lastSeen[ageOf(now - device.lastSeen)] += 1
        if (!topics.includes(device.topic)) otherTopic += 1
      }
    },
    counts: () => ({ countedAt: now, users, devices, lastSeen, otherTopic }),
  }
}

function ageOf(ms: number): keyof DeviceCounts['lastSeen'] {
  if (ms <= DAY_MS) return 'day'
  if (ms <= 2 * DAY_MS) return 'twoDays'
  return ms <= 7 * DAY_MS ? 'week' : 'longer'
}
