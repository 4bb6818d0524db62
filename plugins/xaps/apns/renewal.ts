/**
 * Credentials renewed on disk are picked up while running, and the end of a certificate is announced in time. Looks
 * at the files by stat, which works for symbolic links that certbot-like tools switch, and on any file system.
 */

import { statSync } from 'node:fs'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import type { Credentials } from './credentials.ts'

/** How soon a changed file is noticed. */
const LOOK_EVERY_MS = 5_000

/** For how long the files must not have changed before they are read: certificate and key are written in turn. */
const SETTLED_AFTER_MS = 1_000

const DAY_MS = 86_400_000

/** How many days before a certificate's end an operator is told. */
const WARN_DAYS = [1, 7, 14, 30] as const

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
  let timer: Timer
  const look = (): void => {
    const before = seen
    seen = fingerprint(files)
    timer = clock.after(seen === used ? LOOK_EVERY_MS : SETTLED_AFTER_MS, look)
    if (seen === used || seen !== before) return
    used = seen
    try {
      renewed(load())
      log.notice('the credentials for Apple changed on disk; the new ones are in use')
    } catch (error) {
      log.error('the changed credentials are of no use; the old ones stay in use', { cause: reasonOf(error) })
    }
  }
  timer = clock.after(LOOK_EVERY_MS, look)
  return { close: () => timer.cancel() }
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
  if (notAfter === undefined) return undefined
  const date = new Date(notAfter).toISOString().slice(0, 10)
  const days = Math.ceil((notAfter - now) / DAY_MS)
  if (days > 30) return undefined
  return days <= 0
    ? `the certificate for Apple ended on ${date}: no push gets through until it is renewed`
    : `the certificate for Apple ends on ${date}, in ${days} day${days === 1 ? '' : 's'}`
}

/** Writes the warning at the start and again when 30, 14, 7 and 1 days are left, and when none is. */
export function announceExpiry(current: () => Credentials, log: Log, clock: Clock = systemClock): Renewal {
  let announced: string | undefined
  let timer: Timer
  const look = (): void => {
    timer = clock.after(DAY_MS / 24, look)
    const { notAfter } = current()
    const step = stepOf(notAfter, clock.now())
    if (step === announced) return
    announced = step
    const warning = expiryWarning(notAfter, clock.now())
    if (warning) log.warn(warning)
  }
  timer = clock.after(0, look)
  return { close: () => timer.cancel() }
}

/** Changes whenever an operator should be told again. */
function stepOf(notAfter: number | undefined, now: number): string {
  const left = (notAfter ?? Number.POSITIVE_INFINITY) - now
  return `${notAfter} ${left <= 0 ? 0 : WARN_DAYS.find(days => left <= days * DAY_MS)}`
}
