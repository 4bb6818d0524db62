/**
 * What Apple's answer to a push means. One table: a row per (status, reason), from Apple's "Handling notification
 * responses from APNs". Apple's "no" is a value here; nothing throws. push/consequences.ts says what
 * is done about it.
 */

/** Apple's answer to one push, or the fault that kept it from us. */
export type Answer =
  | {
      readonly status: number
      /** Apple's reason, '' with 200. */
      readonly reason: string
      /** With 410: since when the token is dead, milliseconds since the epoch. */
      readonly timestamp?: number
      /** The Retry-After header, in milliseconds. */
      readonly retryAfterMs?: number
    }
  | Fault
  /** Nothing was sent, since our credentials are of no use: an ended certificate, a key that does not sign. */
  | { readonly unusable: string }

/**
 * A push that got no answer, and whose fault that is: `stream`: the connection works, only this push met a fault;
 * `connection`: the connection is of no use, and no other push would have got through.
 */
export interface Fault {
  readonly fault: string
  readonly of: 'stream' | 'connection'
}

export type Verdict =
  | { readonly kind: 'sent' }
  /** The device is gone, unless it registered again after `since` (ms since the epoch). */
  | { readonly kind: 'gone'; readonly since: number }
  /**
   * Not now. `whom` says who tries again, in `afterMs` where Apple or its rules say when: this `device`; this `push`,
   * others being none the worse; `all`.
   */
  | {
      readonly kind: 'later'
      readonly whom: 'device' | 'push' | 'all'
      readonly reason: string
      readonly afterMs?: number
    }
  /**
   * No. `fault` says where: `token` the token is wrong, if others are right; `device` this device until it registers
   * again; `setup` credentials, configuration or code: an operator has to repair it, and no device is to blame.
   */
  | { readonly kind: 'refused'; readonly reason: string; readonly fault: 'token' | 'device' | 'setup' }
  /** No answer, for no reason that lies with the device. */
  | { readonly kind: 'broken'; readonly reason: string; readonly of: Fault['of'] }

type Said = Extract<Answer, { status: number }>
type Rule = (answer: Said, now: number) => Verdict

/** Apple allows a new provider token every 20 minutes. */
export const PROVIDER_TOKEN_MIN_AGE_MS = 20 * 60_000

const sent: Rule = () => ({ kind: 'sent' })
// Nothing can be gone since later than now: that is a clock's fault, ours or Apple's.
const gone: Rule = ({ timestamp }, now) => ({ kind: 'gone', since: Math.min(timestamp ?? now, now) })
const refused =
  (fault: 'token' | 'device' | 'setup'): Rule =>
  ({ reason }) => ({ kind: 'refused', reason, fault })
const later =
  (whom: 'device' | 'push' | 'all', standardMs?: number): Rule =>
  ({ reason, retryAfterMs }) => {
    const afterMs = retryAfterMs ?? standardMs
    return { kind: 'later', whom, reason, ...(afterMs === undefined ? {} : { afterMs }) }
  }
const broken: Rule = ({ reason }) => ({ kind: 'broken', reason, of: 'stream' })

/** The table. `*` stands for every other reason with that status. */
const TABLE: Readonly<Record<string, Rule>> = {
  '200 *': sent,
  '400 BadDeviceToken': refused('token'),
  '400 DeviceTokenNotForTopic': refused('device'),
  '400 IdleTimeout': broken,
  '400 *': refused('setup'),
  '403 ExpiredProviderToken': later('all'),
  '403 *': refused('setup'),
  '404 *': refused('setup'),
  '405 *': refused('setup'),
  '410 *': gone,
  '413 *': refused('setup'),
  '429 TooManyRequests': later('device', 15_000),
  '429 TooManyProviderTokenUpdates': later('all', PROVIDER_TOKEN_MIN_AGE_MS),
  '429 *': later('device', 15_000),
  '500 *': later('push'),
  '503 *': later('push'),
}

/** What `answer` means. `now`, ms since the epoch: a 410 counts from then where it names no time, or a later one. */
export function verdictOf(answer: Answer, now: number): Verdict {
  if ('fault' in answer) return { kind: 'broken', reason: answer.fault, of: answer.of }
  if ('unusable' in answer) return { kind: 'refused', reason: answer.unusable, fault: 'setup' }
  const rule = TABLE[`${answer.status} ${answer.reason}`] ?? TABLE[`${answer.status} *`]
  if (rule) return rule(answer, now)
  return answer.status >= 500 ? later('push')(answer, now) : refused('setup')(answer, now)
}
