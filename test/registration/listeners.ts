/** A register and a notify to put behind a listener in tests, and what one needs besides. */

import type { Clock } from '../../plugins/xaps/base/clock.ts'
import type { ListenerParts } from '../../plugins/xaps/registration/connections.ts'
import { Connections } from '../../plugins/xaps/registration/connections.ts'
import type { NotifyOutcome } from '../../plugins/xaps/registration/notify.ts'
import { UNFINISHED_REQUESTS_BYTES, Unfinished } from '../../plugins/xaps/registration/receive.ts'
import { makeLogRefusal } from '../../plugins/xaps/registration/refusal.ts'
import type { Notification, ValidRegister } from '../../plugins/xaps/registration/validate.ts'
import { keptLog } from './tools.ts'

export const TOPIC = 'com.apple.mail.XServer.01234567-89ab-cdef-0123-456789abcdef'
export const RULES = { subtopics: ['com.apple.mobilemail'], lowercase: true }
export const TOKEN = 'ab'.repeat(32)

export function makeListener(
  behaviour: {
    accept?: () => Promise<string>
    notify?: () => Promise<NotifyOutcome>
    unfinished?: Unfinished
    connections?: number
    clock?: Clock
  } = {},
) {
  const log = keptLog()
  const registered: ValidRegister[] = []
  const notified: Notification[] = []
  const parts: ListenerParts = {
    accept(registration) {
      registered.push(registration)
      return behaviour.accept?.() ?? Promise.resolve(TOPIC)
    },
    notify(notification) {
      notified.push(notification)
      return behaviour.notify?.() ?? Promise.resolve('accepted')
    },
    rules: RULES,
    status: () => 'up_seconds=1',
    logRefusal: makeLogRefusal(log, behaviour.clock),
    unfinished: behaviour.unfinished ?? new Unfinished(UNFINISHED_REQUESTS_BYTES),
    connections: new Connections(behaviour.connections ?? 10_000, log, behaviour.clock),
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

/** A request as freswa's plugin sends it; a line of `headers` takes the place of the one with its name. */
export function post(path: string, body: string, headers: readonly string[] = []): string {
  const usual = [
    'Host: localhost:11619',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Content-Type: application/json; charset=utf-8',
  ]
  const nameOf = (header: string) => header.slice(0, header.indexOf(':')).toLowerCase()
  const kept = usual.filter(header => !headers.map(nameOf).includes(nameOf(header)))
  return [`POST ${path} HTTP/1.1`, ...kept, ...headers, '', body].join('\r\n')
}
