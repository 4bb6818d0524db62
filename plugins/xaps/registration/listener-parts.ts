/** What both listeners, the Unix socket and HTTP, are given. */

import type { Accept } from './accept.ts'
import type { Connections } from './connections.ts'
import type { Notify } from './notify.ts'
import type { Unfinished } from './receive.ts'
import type { LogRefusal } from './refusal.ts'
import type { RegisterRules } from './validate.ts'

export interface ListenerParts {
  readonly accept: Accept
  readonly notify: Notify
  readonly rules: RegisterRules
  readonly logRefusal: LogRefusal
  /** Takes one event of Dovecot's exporter; returns what is wrong with it, if anything is. Without it /event is not served. */
  readonly takeEvent?: ((text: string) => string | undefined) | undefined
  /** How the companion is, and what is known of a user's last event, in words of the form key=value on one line. */
  readonly status: (user?: string) => string
  /** Both listeners share these. */
  readonly unfinished: Unfinished
  readonly connections: Connections
}
