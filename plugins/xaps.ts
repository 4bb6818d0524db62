/**
 * haraka-plugin-xaps: Haraka's entry. Which hook calls what, nothing else.
 *
 * In a hook `next()` comes first: a push may never cost the mail anything. The work after it never rejects.
 */

import { startInHaraka } from './xaps/haraka/plugin.ts'
import type { HarakaProcess } from './xaps/haraka/process.ts'
import type { Connection, DeliveredParams, Hmail, Next, Plugin } from './xaps/haraka/types.ts'

interface XapsPlugin extends Plugin {
  xaps?: HarakaProcess | undefined
}

export function register(this: XapsPlugin): void {
  this.xaps = startInHaraka(this)
  if (!this.xaps) return
  this.register_hook('init_master', 'haraka_ready')
  this.register_hook('init_child', 'haraka_ready')
  this.register_hook('delivered', 'mail_delivered')
  this.register_hook('queue_ok', 'mail_forwarded')
}

export function haraka_ready(this: XapsPlugin, next: Next): void {
  next()
  this.xaps?.ready()
}

export function mail_delivered(this: XapsPlugin, next: Next, hmail: Hmail, params: DeliveredParams): void {
  next()
  this.xaps?.delivered(hmail, params)
}

/** The transaction is gone after next(), so it is read, and told its result, before. */
export function mail_forwarded(this: XapsPlugin, next: Next, connection: Connection): void {
  const mail = this.xaps?.forwarded(connection)
  next()
  if (mail) this.xaps?.push(mail)
}

export function shutdown(this: XapsPlugin): void {
  this.xaps?.shutdown()
}
