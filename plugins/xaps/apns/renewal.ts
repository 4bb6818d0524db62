/**
 * Credentials renewed on disk are picked up while running, and the end of a certificate is announced in time. Looks
 * at the files by stat, which works for symbolic links that certbot-like tools switch, and on any file system.
 */

import { statSync } from 'node:fs'
import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import type { Credentials } from './credentials.ts'

/** How soon a changed file is noticed. */
const LOOK_EVERY_MS = 5_000

/** For how long the files must not have changed before they are read: certificate and key are written in turn. */
const SETTLED_AFTER_MS = 1_000

const DAY_MS = 86_400_000

/** So many days before a certificate's end an operator is told. */
const WARN_DAYS = [0, 1, 7, 14, 30] as const

export interface Renewal {
  close(): void
}

/**
 * Calls `renewed` with the result of `load` whenever one of `files` has changed. If that throws, the old ones
 * stay in use, which is said once per change.
 */
export function watchCredentials(
  files: readonly string[],
  load: () => Credentials,
  renewed: (credentials: Credentials) => void,
  log: Log,
  clock: Clock = systemClock,
): Renewal {
  let used = fingerprint(files)
  let seen = used
  const take = (): void => {
    try {
      renewed(load())
      log.notice('the credentials for Apple changed on disk; the new ones are in use')
    } catch (error) {
      log.error('the changed credentials are of no use; the old ones stay in use', { cause: reasonOf(error) })
    }
  }
  return repeat(LOOK_EVERY_MS, clock, () => {
    const before = seen
    seen = fingerprint(files)
    if (seen !== used && seen !== before) return SETTLED_AFTER_MS
    if (seen !== used) take()
    used = seen
    return LOOK_EVERY_MS
  })
}

/** Text that changes when one of the files is written, replaced or linked to another. */
export function fingerprint(files: readonly string[]): string {
  const stamp = (file: string): string => {
    try {
      const { ino, size, mtimeMs } = statSync(file)
      return `${ino} ${size} ${mtimeMs}`
    } catch (error) {
      return reasonOf(error)
    }
  }
  return files.map(stamp).join('\n')
}

/** One sentence when a certificate has ended or ends within 30 days, else undefined. Times in ms since the epoch. */
export function expiryWarning(notAfter: number | undefined, now: number): string | undefined {
  const days = daysLeft(notAfter, now)
  if (notAfter === undefined || days > 30) return undefined
  const date = new Date(notAfter).toISOString().slice(0, 10)
  return days <= 0
    ? `the certificate for Apple ended on ${date}: no push gets through until it is renewed`
    : `the certificate for Apple ends on ${date}, in ${days} day${days === 1 ? '' : 's'}`
}

/** Writes the warning at the start and again when 30, 14, 7 and 1 days are left, and when none is. */
export function announceExpiry(current: () => Credentials, log: Log, clock: Clock = systemClock): Renewal {
  let announced: string | undefined
  return repeat(0, clock, () => {
    const { notAfter } = current()
    const days = daysLeft(notAfter, clock.now())
    const step = `${notAfter} ${WARN_DAYS.find(most => days <= most)}`
    const warning = expiryWarning(notAfter, clock.now())
    if (step !== announced && warning) log.warn(warning)
    announced = step
    return DAY_MS / 24
  })
}

function daysLeft(notAfter = Number.POSITIVE_INFINITY, now: number): number {
  return Math.ceil((notAfter - now) / DAY_MS)
}

/** Calls `run` in `ms` milliseconds, and again in as many as it returns. */
function repeat(ms: number, clock: Clock, run: () => number): Renewal {
  let timer = clock.after(ms, function again() {
    timer = clock.after(run(), again)
  })
  return { close: () => timer.cancel() }
}
