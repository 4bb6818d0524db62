/** A register and a notify to put behind a door in tests, and what a door needs besides. */

import type { Clock } from '../../plugins/xaps/clock.ts'
import { Budget } from '../../plugins/xaps/registration/budget.ts'
import type { DoorParts } from '../../plugins/xaps/registration/door.ts'
import type { NotifyOutcome } from '../../plugins/xaps/registration/notify.ts'
import { makeLogRefusal } from '../../plugins/xaps/registration/refusal.ts'
import type { Notification, Registration } from '../../plugins/xaps/registration/validate.ts'
import { keptLog } from './tools.ts'

export const TOPIC = 'com.apple.mail.XServer.01234567-89ab-cdef-0123-456789abcdef'
export const RULES = { subtopics: ['com.apple.mobilemail'], lowercase: true }
export const TOKEN = 'ab'.repeat(32)

export function makeDoor(
  behaviour: {
    register?: () => Promise<string>
    notify?: () => Promise<NotifyOutcome>
    budget?: Budget
    clock?: Clock
  } = {},
) {
  const log = keptLog()
  const registered: Registration[] = []
  const notified: Notification[] = []
  const parts: DoorParts = {
    register(registration) {
      registered.push(registration)
      return behaviour.register?.() ?? Promise.resolve(TOPIC)
    },
    notify(notification) {
      notified.push(notification)
      return behaviour.notify?.() ?? Promise.resolve('accepted')
    },
    rules: RULES,
    status: () => 'up_seconds=1',
    logRefusal: makeLogRefusal(log, behaviour.clock),
    budget: behaviour.budget ?? new Budget(32 * 1024 * 1024),
  }
  return { log, registered, notified, parts }
}

/** A line as st3fan's plugin sends it. */
export function registerLine(user = 'user@example.org', mailboxes = '("INBOX")'): string {
  return `REGISTER aps-account-id="A"\taps-device-token="${TOKEN}"\taps-subtopic="com.apple.mobilemail"\tdovecot-username="${user}"\tdovecot-mailboxes=${mailboxes}\r\n`
}

export const NOTIFY_LINE =
  'NOTIFY dovecot-username="user@example.org"\tdovecot-mailbox="INBOX"\tevents=("FlagsSet")\r\n'

/** A body as freswa's plugin sends it. */
export function registerBody(user = 'user@example.org'): string {
  return `{"ApsAccountId":"A","ApsDeviceToken":"${TOKEN}","ApsSubtopic":"com.apple.mobilemail","Username":"${user}","Mailboxes": ["INBOX"]}`
}

export const NOTIFY_BODY = '{"Username":"user@example.org","Mailbox":"INBOX","Events": ["FlagsSet"]}'

/** A request as freswa's plugin sends it. */
export function post(path: string, body: string, headers: readonly string[] = []): string {
  return [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
    '',
    body,
  ].join('\r\n')
}
