/**
 * One event of Dovecot's exporter (JSON) → what it says of a delivery, or of why a phone came. Pure. Subject and sender are
 * in these events; they are not read. Recorded from Dovecot 2.3.19 and 2.4.1: test/fixtures/wire/exporter-*.
 */

import { isInbox } from '../base/canonical-names.ts'
import { CONTROL, MAX_EVENT_LENGTH, MAX_USER_BYTES, NOT_UTF8 } from '../base/limits.ts'

/** Text that is no event. `message` is one line of printable ASCII, nothing of it the sender's. */
export class BadEvent extends Error {
  override name = 'BadEvent'
}

/** What became of the mail; `delivered`: Dovecot does not say into which mailbox. */
export type Fate = 'inbox' | 'elsewhere' | 'discarded' | 'redirected' | 'failed' | 'other' | 'delivered'

export interface DeliveryEvent {
  /** Sieve's events say what became of the mail. The end of a delivery is told beside them, before or after. */
  readonly name: 'sieve_action_finished' | 'mail_delivery_finished'
  /** As Dovecot sent it, 1 to 255 bytes without control characters; Dovecot 2.3 ends a delivery to it as it was typed. */
  readonly user: string
  /** The delivery to one recipient; undefined where the event has no session. */
  readonly delivery: string | undefined
  readonly fate: Fate
}

/** A phone has logged in that says why it comes. */
export interface Arrival {
  readonly name: 'imap_id_received'
  /** Dovecot's name, bounded as in a DeliveryEvent. */
  readonly user: string
  /** Whether a push brought it. */
  readonly byPush: boolean
}

/** Undefined for an event that says neither. Throws BadEvent. */
export function parseEvent(text: string): DeliveryEvent | Arrival | undefined {
  const event = objectIn(text)
  const { event: name } = event
  if (typeof name !== 'string') throw new BadEvent('event is missing or not a string')
  const fields = isObject(event.fields) ? event.fields : {}
  if (name === 'imap_id_received') return arrivalIn(fields)
  if (name !== 'sieve_action_finished' && name !== 'mail_delivery_finished') return undefined
  const user = checkedUser(fields.user)
  const fate = name === 'sieve_action_finished' ? fateBySieve(fields) : fateAtTheEnd(fields)
  return { name, user, delivery: deliveryOf(fields), fate }
}

type Fields = Readonly<Record<string, unknown>>

function objectIn(text: string): Fields {
  if (text.length > MAX_EVENT_LENGTH) throw new BadEvent(`longer than ${MAX_EVENT_LENGTH} characters`)
  const value = parsed(text)
  if (!isObject(value)) throw new BadEvent('not a JSON object')
  return value
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The words of the error would have some of the text.
    throw new BadEvent('not valid JSON')
  }
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function checkedUser(user: unknown): string {
  if (typeof user !== 'string' || user === '') throw new BadEvent('user is missing, empty or not a string')
  if (Buffer.byteLength(user) > MAX_USER_BYTES)
    throw new BadEvent(`user: longer than ${MAX_USER_BYTES} bytes`)
  if (CONTROL.test(user)) throw new BadEvent('user: no control characters allowed')
  if (NOT_UTF8.test(user)) throw new BadEvent('user: not valid UTF-8')
  return user
}

/** Characters of a session's id and of a recipient that are kept; Dovecot's ids have 22 and some for each recipient. */
const MOST_KEPT = 320

/** Dovecot's own name for the delivery, for the log. */
export function sessionOf({ delivery }: Pick<DeliveryEvent, 'delivery'>): string | undefined {
  return delivery?.split(' ', 1)[0]
}

/** `session` is one per delivery and recipient; `rcpt_to` is there for a server in which it is not. */
function deliveryOf({ session, rcpt_to: recipient }: Fields): string | undefined {
  if (typeof session !== 'string' || session === '') return undefined
  const parts = [session, typeof recipient === 'string' ? recipient : '']
  return parts.map(part => part.slice(0, MOST_KEPT)).join(' ')
}

const FATES: ReadonlyMap<unknown, Fate> = new Map([
  ['discard', 'discarded'],
  ['redirect', 'redirected'],
])

/** `fileinto_mailbox_name` is UTF-8 with the namespace's separator; keep has it, too. */
function fateBySieve({ action_name: action, fileinto_mailbox_name: mailbox, error }: Fields): Fate {
  if (error !== undefined) return 'failed'
  if (action !== 'keep' && action !== 'fileinto') return FATES.get(action) ?? 'other'
  if (typeof mailbox !== 'string') return action === 'keep' ? 'inbox' : 'elsewhere'
  return isInbox(mailbox) ? 'inbox' : 'elsewhere'
}

/** Over quota, say: Dovecot tells of the end of that delivery, too. */
function fateAtTheEnd({ error }: Fields): Fate {
  return error === undefined ? 'delivered' : 'failed'
}

/**
 * Apple TN3189: from iOS 18.5 on Mail's ID has `event`, NIL or a list such as `periodic,push`, which counts only beside a
 * `name` that begins with com.apple. Dovecot 2.4.1 writes NIL as text. An ID from before the login names no user; the one
 * after it follows.
 */
function arrivalIn(fields: Fields): Arrival | undefined {
  const { user, id_param_name: client, id_param_event: reasons } = fields
  if (user === undefined || typeof client !== 'string' || !client.startsWith('com.apple.')) return undefined
  if (typeof reasons !== 'string') return undefined
  return {
    name: 'imap_id_received',
    user: checkedUser(user),
    byPush: reasons.split(/[,\s]+/).includes('push'),
  }
}
