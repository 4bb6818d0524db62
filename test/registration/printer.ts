/** The reference printer: a request → the bytes that the real Dovecot plugins would send for it. */

import type { NotifyRequest, RegisterRequest, Request } from '../../plugins/xaps/registration/validate.ts'

/** As st3fan's plugin writes it, without the line end. */
export function printLine(request: Request): Buffer {
  return Buffer.from(`${request.verb} ${linePairs(request).join('\t')}`)
}

/** The pairs of a line in the plugin's order; the parser takes them in any. */
export function linePairs(request: Request): string[] {
  if (request.verb === 'NOTIFY') {
    return [
      `dovecot-username=${quote(request.user)}`,
      `dovecot-mailbox=${quote(request.mailbox)}`,
      `events=${quoteList(request.events)}`,
    ]
  }
  return [
    `aps-account-id=${quote(request.account)}`,
    `aps-device-token=${quote(request.token)}`,
    `aps-subtopic=${quote(request.subtopic)}`,
    `dovecot-username=${quote(request.user)}`,
    `dovecot-mailboxes=${quoteList(request.mailboxes)}`,
  ]
}

/** As freswa's plugin writes the body of /register or /notify. */
export function printBody(request: Request): Buffer {
  return Buffer.from(
    JSON.stringify(request.verb === 'NOTIFY' ? notifyMembers(request) : registerMembers(request)),
  )
}

export function registerMembers(request: RegisterRequest): Record<string, unknown> {
  return {
    ApsAccountId: request.account,
    ApsDeviceToken: request.token,
    ApsSubtopic: request.subtopic,
    Username: request.user,
    Mailboxes: request.mailboxes,
  }
}

export function notifyMembers(request: NotifyRequest): Record<string, unknown> {
  const events = request.events.length === 0 ? {} : { Events: request.events }
  return { Username: request.user, Mailbox: request.mailbox, ...events }
}

/** Dovecot's str_escape: a backslash before `"`, `\` and `'`. */
function quote(text: string): string {
  return `"${text.replace(/["'\\]/g, '\\$&')}"`
}

function quoteList(items: readonly string[]): string {
  return `(${items.map(quote).join(',')})`
}
