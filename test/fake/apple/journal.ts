/** What the stand-in was asked and what it answered. Recording can be off: then it only counts. */

import { until } from '../../support/wait.ts'

/** One POST, whatever came of it. */
export interface PushRequest {
  /** When the body was complete, in milliseconds since the epoch, with fractions. */
  readonly epoch: number
  /** The device token as it was sent. */
  readonly token: string
  /** The topic that the push went to; undefined when it named none. */
  readonly topic: string | undefined
  readonly headers: Readonly<Record<string, unknown>>
  /** The body as JSON; undefined when it was none that Apple takes. */
  readonly payload: Readonly<Record<string, unknown>> | undefined
  /** Number of the connection that it came over, from 1. */
  readonly session: number
  /** What it was answered with; undefined when it never was. */
  readonly status: number | undefined
  /** Apple's reason, undefined for status 200. */
  readonly reason: string | undefined
}

export interface Counts {
  /** Requests whose body arrived whole. */
  requests: number
  /** Those answered with 200. */
  accepted: number
  /** Streams that ended before their answer was sent. */
  aborted: number
}

/** How many, or which. */
export type Wanted = number | ((request: PushRequest) => boolean)

export class Journal {
  /** Everything, in the order of arrival. */
  readonly requests: PushRequest[] = []
  /** What was accepted. */
  readonly pushes: PushRequest[] = []
  readonly counts: Counts = { requests: 0, accepted: 0, aborted: 0 }
  readonly #recording: boolean
  readonly #observe: ((request: PushRequest) => void) | undefined

  constructor(recording: boolean, observe?: (request: PushRequest) => void) {
    this.#recording = recording
    this.#observe = observe
  }

  /** Counts a request; what `describe` says of it is kept when recording is on, and shown to the observer. */
  add(status: number | undefined, describe: () => Omit<PushRequest, 'epoch' | 'status'>): void {
    this.counts.requests++
    if (status === 200) this.counts.accepted++
    if (!this.#recording && !this.#observe) return
    const request = { epoch: performance.timeOrigin + performance.now(), status, ...describe() }
    this.#observe?.(request)
    if (!this.#recording) return
    this.requests.push(request)
    if (status === 200) this.pushes.push(request)
  }

  /** Forgets what was recorded and counted so far. */
  clear(): void {
    this.requests.length = 0
    this.pushes.length = 0
    Object.assign(this.counts, { requests: 0, accepted: 0, aborted: 0 })
  }
}

/**
 * Waits until `list` holds `wanted` requests, or one that it describes, and resolves with them. Rejects after
 * `timeoutMs`.
 */
export async function waitIn(
  list: readonly PushRequest[],
  wanted: Wanted,
  timeoutMs: number,
): Promise<PushRequest[]> {
  const enough = typeof wanted === 'number' ? wanted : 1
  const what = typeof wanted === 'number' ? `${wanted} pushes` : 'a push that fits'
  const found = () => (typeof wanted === 'number' ? [...list] : list.filter(wanted))
  await until(() => found().length >= enough, `${what} at the Apple stand-in`, timeoutMs)
  return found()
}
