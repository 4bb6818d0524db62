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
  /** How the companion is, in words of the form key=value on one line. */
  readonly status: () => string
  /** Both listeners share these. */
  readonly unfinished: Unfinished
  readonly connections: Connections
}
