/**
 * What Apple's answer to a push means. One table: a row per (status, reason), from Apple's "Handling notification
 * responses from APNs". Apple's "no" is a value here; nothing throws. push/consequences.ts says what
 * is done about it.
 */

/** What Apple said to one push. */
export interface Answer {
  readonly status: number
  /** Apple's reason, '' with 200. */
  readonly reason: string
  /** With 410: since when the token is dead, milliseconds since the epoch. */
  readonly timestamp?: number
  /** The Retry-After header, in milliseconds. */
  readonly retryAfterMs?: number
}

/**
 * - `gone`: the device is gone, unless it registered again after `since`.
 * - `refused`: no. `token`: the token is wrong, if others are right; `device`: this device until it registers again;
 *   `setup`: credentials, configuration or code. An operator has to repair it, and no device is to blame.
 * - `later`: not now. To be tried again are this `device` only, this `push` (others are none the worse), or `all`.
 * - `broken`: no answer, for no reason that lies with the device. `stream`: the connection works, only this push met a
 *   fault; `connection`: the connection is of no use, and no other push would have got through.
 */
export type VerdictKind =
  | 'sent'
  | 'gone'
  | `refused ${'token' | 'device' | 'setup'}`
  | `later ${'device' | 'push' | 'all'}`
  | `broken ${'stream' | 'connection'}`

export interface Verdict {
  readonly kind: VerdictKind
  /** Apple's reason, or the fault in words; '' when sent. */
  readonly reason: string
  /** Of a device that is gone: since when, in milliseconds since the epoch. */
  readonly since?: number
  /** Where Apple or its rules say when to try again: in how many milliseconds at the earliest. */
  readonly afterMs?: number
  /** Apple's name for the push, where Apple answered. */
  readonly id?: string | undefined
}

/** Apple allows a new provider token every 20 minutes. */
export const PROVIDER_TOKEN_MIN_AGE_MS = 20 * 60_000

const SENT: Verdict = { kind: 'sent', reason: '' }

/** The table. `*` stands for every other reason with that status; a number is the wait where Apple names none, in ms. */
const TABLE: Readonly<Record<string, readonly [kind: VerdictKind, afterMs?: number]>> = {
  '400 BadDeviceToken': ['refused token'],
  '400 DeviceTokenNotForTopic': ['refused device'],
  '400 IdleTimeout': ['broken stream'],
  '400 *': ['refused setup'],
  '403 ExpiredProviderToken': ['later all'],
  '403 *': ['refused setup'],
  '404 *': ['refused setup'],
  '405 *': ['refused setup'],
  '410 *': ['gone'],
  '413 *': ['refused setup'],
  '429 TooManyProviderTokenUpdates': ['later all', PROVIDER_TOKEN_MIN_AGE_MS],
  '429 *': ['later device', 15_000],
  '500 *': ['later push'],
  '503 *': ['later push'],
}

/** What `answer` means. `now`, ms since the epoch: a 410 counts from then where it names no time, or a later one. */
export function verdictOf({ status, reason, timestamp, retryAfterMs }: Answer, now: number): Verdict {
  if (status === 200) return SENT
  const row = TABLE[`${status} ${reason}`] ?? TABLE[`${status} *`]
  const [kind, standardMs] = row ?? [status >= 500 ? 'later push' : 'refused setup']
  // Nothing can be gone since later than now: that is a clock's fault, ours or Apple's.
  if (kind === 'gone') return { kind, reason, since: Math.min(timestamp ?? now, now) }
  const afterMs = kind.startsWith('later') ? (retryAfterMs ?? standardMs) : undefined
  return afterMs === undefined ? { kind, reason } : { kind, reason, afterMs }
}
