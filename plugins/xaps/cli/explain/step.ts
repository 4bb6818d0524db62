/** A step on the way from an address to a phone, and what goes from one step to the next. */

import type { Decision } from '../../observe/decisions.ts'
import type { Finding } from '../check/finding.ts'

/** A line of the explanation: `FAIL` where the way ends, `warn` where it ends for some mails or phones. */
export interface Step extends Finding {
  readonly about: 'domain' | 'user' | 'source' | 'store' | 'device' | 'push' | 'companion' | 'mail'
  /** What to do, or what follows. One line. */
  readonly remedy?: string
  /** Where the step is a decision on mails of this user. */
  readonly decision?: Decision
  /** For a reader of the JSON: what the text names, by name. Times in ISO 8601. */
  readonly data?: Readonly<Record<string, unknown>>
}

export type Steps = readonly Step[]

/** Whether the way ends in one of them. */
export const isEnd = ({ level }: Step): boolean => level === 'FAIL'
