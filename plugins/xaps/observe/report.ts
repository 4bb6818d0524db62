/** What a process tells of itself, as plain data: it goes from worker to primary to companion as it is. */

import type { Decision } from './decisions.ts'
import type { Sums } from './metrics.ts'

/** Times are milliseconds since the epoch. */
export interface Report {
  /** `worker1`, `worker2`, … by place, which a worker that is started again takes over; `haraka` with nodes=0; `companion`. */
  readonly process: string
  readonly pid: number
  readonly startedAt: number
  /** When the report was made. */
  readonly at: number
  readonly sums: Sums
  /** Devices that wait for a push. */
  readonly pending: number
  readonly apple: AppleState
  readonly store: StoreState
  /** What was decided since the report before: of each user the last, of as many users as MOST_DECIDED. */
  readonly decided: readonly Decided[]
}

export interface AppleState {
  /** Why pushes wait: `connection`, `busy`, `setup`; absent while they do not. */
  readonly trouble?: string
  readonly troubleSince?: number
  /** Apple's last 200. */
  readonly acceptedAt?: number
  /** The last push that failed for another reason than its device, and the reason in words. */
  readonly failedAt?: number
  readonly failure?: string
  /** The end of the certificate in use. */
  readonly certificateEnds?: number
}

export interface StoreState {
  /** Of the last operation; absent before the first. */
  readonly up?: boolean
  /** Since when it is as it is. */
  readonly since?: number
  readonly failure?: string
}

/** The last decision on a user's mail. */
export interface Decided {
  readonly user: string
  readonly decision: Decision
  readonly at: number
  /** The mail's uuid in Haraka, or the session of Dovecot's delivery, where it is known. */
  readonly mail?: string
}

/** Of a report. More users have their mail in the log alone. */
export const MOST_DECIDED = 1_000
