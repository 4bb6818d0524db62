/** Whether an entry of a file may go into the store: the rules for requests, and those that only a file can break. */

import { LINE_BREAK, MAX_CANONICAL_MAILBOX_BYTES, MAX_MAILBOXES, TOPIC } from '../../base/limits.ts'
import type { Device } from '../../device/device.ts'
import { BadRequest } from '../../registration/refusal.ts'
import { type RegisterRules, validateRegister } from '../../registration/validate.ts'
import type { Entry } from './formats.ts'

export interface CheckRules extends RegisterRules {
  /** The time of the import, in milliseconds since the epoch. */
  readonly now: number
  /** Devices not seen for so long, in milliseconds, count as gone. */
  readonly expireAfterMs: number
  /** The topic of devices that bring none: that of the credentials. */
  readonly topic: string
  /** Whether mailbox names come as we store them; otherwise as Dovecot sends them. */
  readonly canonicalMailboxes: boolean
}

/** The old daemons serve this one only. */
const DEFAULT_SUBTOPIC = 'com.apple.mobilemail'

/** RFC 3339, as Go and JavaScript write times. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/

/**
 * The device, and whether the file says when it was last seen (`dated`). Throws BadRequest; the message names the value and
 * its bound, and quotes nothing.
 */
export function checkEntry(
  entry: Entry,
  rules: CheckRules,
): { readonly user: string; readonly device: Device; readonly dated: boolean } {
  const mailboxes = texts('mailboxes', entry.mailboxes ?? [])
  const { user, ...registration } = validateRegister(
    {
      verb: 'REGISTER',
      user: text('user name', entry.user),
      account: text('account id', entry.account),
      token: text('device token', entry.token),
      subtopic: text('subtopic', entry.subtopic ?? DEFAULT_SUBTOPIC),
      mailboxes: rules.canonicalMailboxes ? [] : mailboxes,
    },
    rules,
  )
  const topic = text('topic', entry.topic ?? rules.topic)
  if (!TOPIC.test(topic)) throw new BadRequest('topic: expected 1 to 255 printable ASCII characters')
  const stored = rules.canonicalMailboxes ? checkedCanonical(mailboxes) : []
  const seen = checkedTime('time of the last registration', entry.lastSeen, rules.now)
  const lastSeen = seen ?? rules.now
  if (lastSeen <= rules.now - rules.expireAfterMs)
    throw new BadRequest('expired: not renewed for expire_days')
  const since = checkedTime('time of the first registration', entry.registeredAt, lastSeen)
  const device = {
    ...registration,
    ...(stored.length > 0 && { mailboxes: stored }),
    topic,
    registeredAt: since ?? lastSeen,
    lastSeen,
  }
  return { user, device, dated: seen !== undefined }
}

function text(what: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw new BadRequest(`${what}: missing or not a text`)
}

function texts(what: string, value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every(item => typeof item === 'string')) return value
  throw new BadRequest(`${what}: not a list of texts`)
}

/** A canonical name is not decoded once more: `&APw-` may be what `&-APw-` meant. */
function checkedCanonical(names: readonly string[]): readonly string[] {
  if (names.length > MAX_MAILBOXES) throw new BadRequest(`mailboxes: more than ${MAX_MAILBOXES}`)
  if (names.some(name => Buffer.byteLength(name) > MAX_CANONICAL_MAILBOX_BYTES))
    throw new BadRequest(`mailbox name: longer than ${MAX_CANONICAL_MAILBOX_BYTES} bytes`)
  if (names.some(name => LINE_BREAK.test(name)))
    throw new BadRequest('mailbox name: no CR, LF or NUL allowed')
  return names
}

/** A time as milliseconds since the epoch, undefined when there is none. A time after `latest` comes from a wrong clock and counts as `latest`. */
function checkedTime(what: string, value: unknown, latest: number): number | undefined {
  if (value === undefined || value === null) return undefined
  const time = typeof value === 'string' && TIME.test(value) ? Date.parse(value) : Number.NaN
  if (Number.isNaN(time)) throw new BadRequest(`${what}: expected a time in RFC 3339`)
  return Math.min(time, latest)
}
