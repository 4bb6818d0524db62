/** A notification from Dovecot → whether, and how, its user's devices are pushed. Knows no protocol and no Apple. */

import { isInbox } from '../base/canonical-names.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { within } from '../base/deadline.ts'
import type { Device } from '../device/device.ts'
import type { MailEvent } from '../event.ts'
import type { Decision } from '../observe/decisions.ts'
import type { Notification } from './validate.ts'

/** Dovecot holds the LMTP reply until we answer. */
const LOOKUP_DEADLINE_MS = 300

/** Which of Dovecot's notifications are pushed. */
export interface Notified {
  /** MessageNew: only where Haraka's hooks do not push the same mail. */
  readonly newMail: boolean
  /** All else. */
  readonly changes: boolean
}

/** A push is on its way; the user is known, but this is no reason to push; the user has no devices. */
export type NotifyOutcome = 'accepted' | 'nothing' | 'unknown'

export interface NotifyParts {
  readonly devices: (user: string) => Promise<readonly Device[]>
  /** Takes an event for pushing, and its user's devices where they are known; returns at once. */
  readonly submit: (event: MailEvent, devices?: readonly Device[]) => void
  /** Told of what is not pushed, and why; `isChange`: it is no new mail that is this source's to push. */
  readonly notPushed: (decision: Decision, user: string, isChange: boolean) => void
  readonly notified: Notified
}

/** `receivedAt`: ms since the epoch. */
export type Notify = (notification: Notification, receivedAt: number) => Promise<NotifyOutcome>

/**
 * Asks the store whether the user has devices, and submits the event when they should be pushed. A store that does
 * not answer, or not in time, counts as yes: the push side asks again as long as it takes.
 */
export function makeNotify(
  { devices, submit, notPushed, notified }: NotifyParts,
  clock: Clock = systemClock,
): Notify {
  // A fault is the push side's to meet and to report: it asks for the same user next.
  const devicesOf = (user: string): Promise<readonly Device[] | undefined> =>
    within(devices(user), LOOKUP_DEADLINE_MS, 'store', clock).catch(() => undefined)

  return async (notification, receivedAt) => {
    const { user } = notification
    const known = await devicesOf(user)
    const kind = kindOf(notification, notified)
    const decision = known?.length === 0 ? 'no_device' : kind === undefined ? whyNot(notification) : undefined
    if (decision) {
      const isChange = !(notified.newMail && notification.events.includes('MessageNew'))
      notPushed(decision, user, isChange)
    }
    if (known?.length === 0) return 'unknown'
    if (kind === undefined) return 'nothing'
    submit({ user, kind, at: receivedAt }, known)
    return 'accepted'
  }
}

function whyNot({ mailbox }: Notification): Decision {
  return isInbox(mailbox) ? 'other_source' : 'other_folder'
}

/** The push for a notification; undefined for none. Phones are told about the inbox only. */
export function kindOf(
  { mailbox, events }: Pick<Notification, 'mailbox' | 'events'>,
  { newMail, changes }: Notified,
): MailEvent['kind'] | undefined {
  if (!isInbox(mailbox)) return undefined
  if (newMail && events.includes('MessageNew')) return 'new'
  return changes && events.some(event => event !== 'MessageNew') ? 'change' : undefined
}
