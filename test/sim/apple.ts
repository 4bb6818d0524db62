/** The simulated Apple: what it answers to a push, in good and bad times. Its sessions are in session.ts. */

import type { Push } from '../../plugins/xaps/apns/payload.ts'
import { MS, type Scheduler } from './scheduler.ts'

/** What is wrong at Apple, or on the way to it. */
export interface AppleTrouble {
  /** Answers of these kinds to so many pushes in a hundred. */
  readonly answers?: readonly (readonly [status: number, reason: string, retryAfterS?: number])[]
  readonly percent?: number
  /** No answer comes, and no connection. */
  readonly blackHole?: boolean
  readonly refuses?: boolean
  /** The time to an answer, in microseconds at most. */
  readonly slowUs?: number
  /** Streams that a session may have at a time. */
  readonly streams?: number
}

/** A push that has reached Apple. */
export interface Arrival {
  readonly process: string
  readonly token: string
  readonly account: string
  /** When it began, as the plugin counts it, and when it came here. */
  readonly startedUs: number
  readonly at: number
  readonly status: number
  readonly reason: string
  readonly timestamp: number | undefined
}

export interface AppleWorld {
  readonly scheduler: Scheduler
  /** Apple's own clock, in ms since the epoch. */
  now(): number
  /** Since when the token is dead, ms since the epoch. */
  deadSince(token: string): number | undefined
  arrived(arrival: Arrival): void
  /** The answer has come back to the process that sent the push. */
  answered(arrival: Arrival): void
}

/** A connection, as Apple has it in its hands. */
export interface AppleSession {
  readonly process: string
  close(): void
  destroy(): void
  allow(maxConcurrentStreams: number): void
}

/** The header in which the simulation keeps when a push began. */
export const STARTED = 'x-started'

export class Apple {
  trouble: AppleTrouble = {}
  readonly world: AppleWorld
  readonly sessions = new Set<AppleSession>()

  constructor(world: AppleWorld) {
    this.world = world
  }

  /** The time of one way, in microseconds. */
  wayUs(): number {
    const { scheduler } = this.world
    const most = this.trouble.slowUs ?? 60 * MS
    return scheduler.between(most / 20, most / 2)
  }

  /** Ends all sessions: in good order, or with what is in flight. */
  endSessions(isOrderly: boolean): void {
    for (const session of [...this.sessions]) {
      if (isOrderly) session.close()
      else session.destroy()
    }
  }

  limitStreams(most: number): void {
    for (const session of this.sessions) session.allow(most)
  }

  /** The answer to a push, as of now. */
  answerTo(process: string, headers: Push['headers'], body: string): Arrival {
    const { scheduler } = this.world
    const token = String(headers[':path']).slice('/3/device/'.length)
    const account = JSON.parse(body).aps['account-id']
    const at = scheduler.now
    const startedUs = Number(headers[STARTED])
    const { answers = [], percent = 0 } = this.trouble
    const since = this.world.deadSince(token)
    const base = { process, token, account, startedUs, at, timestamp: undefined }
    if (scheduler.random.below(100) < percent && answers.length > 0) {
      const [status, reason] = scheduler.random.pick(answers)
      return { ...base, status, reason }
    }
    if (since === undefined) return { ...base, status: 200, reason: '' }
    // Apple's word on a dead token is either of the two.
    if (scheduler.random.below(5) === 0) return { ...base, status: 400, reason: 'BadDeviceToken' }
    return { ...base, status: 410, reason: 'Unregistered', timestamp: since }
  }

  retryAfter({ status, reason }: Arrival): string | undefined {
    const seconds = this.trouble.answers?.find(([s, r]) => s === status && r === reason)?.[2]
    return seconds === undefined ? undefined : String(seconds)
  }
}
