/** All processes of an instance, as the companion knows them: for GET /metrics, the page and `xaps status`. Plain data. */

import type { DeviceCounts } from '../device/counts.ts'
import type { Sums } from './metrics.ts'
import type { AppleState, Decided, StoreState } from './report.ts'

/** Times are milliseconds since the epoch. */
export interface Overview {
  readonly at: number
  readonly version: string
  /** The digest of the configuration in use. */
  readonly configuration: string
  readonly health: Health
  readonly processes: readonly ProcessState[]
  /** Of all processes. */
  readonly sums: Sums
  /** Registrations in the spool. */
  readonly spooled: number
  /** Events of Dovecot's exporter since the companion's start. */
  readonly events: number
  /** Absent until they have been counted the first time. */
  readonly devices?: DeviceCounts
  /** The last quarter of an hour, a sample every five seconds, the oldest first. */
  readonly samples: readonly Sample[]
}

/** The answer to `OVERVIEW [user]` on the companion's socket. */
export interface Answered {
  readonly overview: Overview
  /** The last decision on a mail of that user. */
  readonly last?: Decided
}

export interface ProcessState {
  readonly process: string
  readonly pid: number
  readonly startedAt: number
  readonly pending: number
  readonly apple: AppleState
  readonly store: StoreState
}

/** Whether push works, in one sentence; where it does not, since when, and what to do. */
export interface Health {
  readonly state: 'works' | 'impaired' | 'down'
  readonly sentence: string
  readonly since?: number
  readonly remedy?: string
}

/** What happened in five seconds that end at `at`, in all processes. */
export interface Sample {
  readonly at: number
  /** Decisions and pushes by label, those that occurred. */
  readonly decisions: Readonly<Record<string, number>>
  readonly verdicts: Readonly<Record<string, number>>
  /** From a mail to the start of its push, in seconds; absent where none was pushed. */
  readonly p50?: number
  readonly p99?: number
  readonly pending: number
}
