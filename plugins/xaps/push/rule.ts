/**
 * The coalescing rule: a push says no more than "look", so it covers every event before its start. The first event is
 * due at once, what comes within a window after a push is due at the window's end, and a change waits for another push
 * to cover it. Pure; times in milliseconds since the epoch.
 */

import type { MailEvent } from '../event.ts'

export interface Rule {
  /** The least time from the start of one push to the start of the next, in milliseconds. */
  readonly windowMs: number
  /** How long a change waits for another push to cover it, in milliseconds. */
  readonly changeDelayMs: number
}

/** Of an event, all that the rule asks for. */
export type DeviceEvent = Pick<MailEvent, 'kind' | 'at'>

/** Events of one device that one push is for. */
export interface Batch {
  /** A push that starts now or later covers them all. */
  readonly newest: number
  /** When a push for them is due, but for the window of the push before. */
  readonly due: number
}

export function batchOf({ kind, at }: DeviceEvent, { changeDelayMs }: Rule): Batch {
  return { newest: at, due: kind === 'new' ? at : at + changeDelayMs }
}

/** One push for both: it is as urgent as the more urgent one. */
export function merge(a: Batch | undefined, b: Batch): Batch {
  return a ? { newest: Math.max(a.newest, b.newest), due: Math.min(a.due, b.due) } : b
}

/** Whether a push that started at `startedAt` makes one for an event at `at` needless. */
export function covers(startedAt: number, at: number): boolean {
  return at <= startedAt
}
