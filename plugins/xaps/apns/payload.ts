/** What a push to Apple Mail contains: facts of the wire, no connection. */

import { createHash } from 'node:crypto'
import type { Device } from '../device/device.ts'

/** One request to Apple, but for the connection. */
export interface Push {
  /** HTTP/2's own, such as `:path`, among them. */
  readonly headers: Readonly<Record<string, string | number>>
  readonly body: string
}

export interface PushSettings {
  /** `apns-priority`; `none` leaves the header out, which Apple reads as 10. */
  readonly priority: '5' | '10' | 'none'
  /** How long Apple keeps the push for a phone that is off, in milliseconds. 0: not at all. */
  readonly expirationMs: number
  /** Whether pushes of one account replace each other in Apple's store. */
  readonly collapseId: boolean
}

/** Apple takes at most 64 bytes (developer.apple.com, "Sending notification requests to APNs"). */
const COLLAPSE_ID = /^[\x21-\x7e]{1,64}$/

/**
 * The push that makes a phone look into INBOX of one account. `now` in milliseconds since the epoch. The body names
 * the account and carries no word of the mail. `aps.m`, the list of mailboxes, is left out on purpose: a phone that
 * registered through today's Dovecot plugins ignores a push that has it.
 */
export function makePush(device: Device, settings: PushSettings, now: number): Push {
  const headers: Record<string, string | number> = {
    ':method': 'POST',
    ':path': `/3/device/${device.token}`,
    'apns-topic': device.topic,
    'apns-push-type': 'background',
    'apns-expiration': settings.expirationMs === 0 ? 0 : Math.floor((now + settings.expirationMs) / 1000),
    'content-type': 'application/json',
  }
  if (settings.priority !== 'none') headers['apns-priority'] = settings.priority
  if (settings.collapseId) headers['apns-collapse-id'] = collapseId(device.account)
  return { headers, body: JSON.stringify({ aps: { 'account-id': device.account } }) }
}

/** The account id, or its digest where it is no header value or too long: phones choose account ids freely. */
function collapseId(account: string): string {
  return COLLAPSE_ID.test(account) ? account : createHash('sha256').update(account).digest('hex')
}
