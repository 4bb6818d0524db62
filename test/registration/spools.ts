/** A spool on disk, for tests of what stands before it. */

import { mkdirSync } from 'node:fs'
import type { Clock } from '../../plugins/xaps/base/clock.ts'
import { systemClock } from '../../plugins/xaps/base/clock.ts'
import type { Log } from '../../plugins/xaps/base/log.ts'
import { deviceStore } from '../../plugins/xaps/device/open.ts'
import type { DeviceStore } from '../../plugins/xaps/device/store.ts'
import { Spool, type SpoolOptions } from '../../plugins/xaps/registration/spool.ts'

/** A store in LMDB in which nothing expires. Opened at its first use, and tried anew each time that fails. */
export function localStore(directory: string, log: Log): DeviceStore {
  const now = { ...systemClock, now: () => tries++ * 10_000 }
  let tries = 1
  const prepare = () => void mkdirSync(directory, { recursive: true, mode: 0o700 })
  const common = { namespace: 'xaps', expireAfterMs: Number.POSITIVE_INFINITY, harakaDir: '/', log }
  return deviceStore({ ...common, uri: `lmdb:${directory}`, prepare }, now)
}

export function spoolIn(
  directory: string,
  log: Log,
  clock: Clock = systemClock,
  more: Partial<SpoolOptions> = {},
): Spool {
  const local = localStore(directory, log)
  return new Spool({ local, directory, openAtStart: true, maxDevices: 50, ...more }, log, clock)
}
