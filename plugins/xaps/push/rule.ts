/**
 * The coalescing rule: a push says no more than "look", so it covers every event before its start. The first event is
 * due at once, what comes within a window after a push is due at the window's end, and a change waits for another push
 * to cover it. Pure; times in milliseconds since the epoch.
 */

import type { MailEvent } from '../event.ts'
import { bothMails, type Mails, mailsOf, NO_MAILS } from '../observe/observer.ts'

export interface Rule {
  /** The least time from the start of one push to the start of the next, in milliseconds. */
  readonly windowMs: number
  /** How long a change waits for another push to cover it, in milliseconds. */
  readonly changeDelayMs: number
}

/** Of an event, all that the rule asks for. */
export type DeviceEvent = Pick<MailEvent, 'kind' | 'at' | 'mail'>

/** Events of one device that one push is for. */
export interface Batch {
  /** A push that starts now or later covers them all. */
  readonly newest: number
  /** When a push for them is due, but for the window of the push before. */
  readonly due: number
  /** When the oldest new mail among them came; infinity where there are changes only. */
  readonly mailAt: number
  readonly mails: Mails
  /** Those of them that nothing has been decided of yet. */
  readonly fresh: Mails
}

export function batchOf({ kind, at, mail }: DeviceEvent, { changeDelayMs }: Rule): Batch {
  const mails = mailsOf(mail)
  const isNew = kind === 'new'
  return {
    newest: at,
    due: isNew ? at : at + changeDelayMs,
    mailAt: isNew ? at : Number.POSITIVE_INFINITY,
    mails,
    fresh: mails,
  }
}

/** The same batch when something has been decided of all its events. */
export function decidedOf({ newest, due, mailAt, mails }: Batch): Batch {
  return { newest, due, mailAt, mails, fresh: NO_MAILS }
}

/** One push for both: it is as urgent as the more urgent one. */
export function merge(a: Batch | undefined, b: Batch): Batch {
  if (!a) return b
  return {
    newest: Math.max(a.newest, b.newest),
    due: Math.min(a.due, b.due),
    mailAt: Math.min(a.mailAt, b.mailAt),
    mails: bothMails(a.mails, b.mails),
    fresh: bothMails(a.fresh, b.fresh),
  }
}

/** Whether a push that started at `startedAt` makes one for an event at `at` needless. */
export function covers(startedAt: number, at: number): boolean {
  return at <= startedAt
}
