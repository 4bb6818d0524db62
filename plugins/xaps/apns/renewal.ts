/** The end of a certificate is announced in time. */

import { type Clock, systemClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Credentials } from './credentials.ts'

const DAY_MS = 86_400_000

/** So many days before a certificate's end an operator is told. */
const WARN_DAYS = [0, 1, 7, 14, 30] as const

export interface Announcing {
  close(): void
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
export function announceExpiry(current: () => Credentials, log: Log, clock: Clock = systemClock): Announcing {
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
function repeat(ms: number, clock: Clock, run: () => number): Announcing {
  let timer = clock.after(ms, function again() {
    timer = clock.after(run(), again)
  })
  return { close: () => timer.cancel() }
}
