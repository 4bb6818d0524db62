/** The end of a certificate is announced in time. */

import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Credentials } from './credentials.ts'

const DAY_MS = 86_400_000

/** How many days before a certificate's end an operator is told. */
const WARN_DAYS = [1, 7, 14, 30] as const

export interface Announcing {
  close(): void
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
export function announceExpiry(current: () => Credentials, log: Log, clock: Clock = systemClock): Announcing {
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
