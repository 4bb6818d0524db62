/** What both doors, the Unix socket and HTTP, are given. */

import type { Connections } from './connections.ts'
import type { Notify } from './notify.ts'
import type { LogRefusal } from './refusal.ts'
import type { Register } from './register.ts'
import type { Unfinished } from './unfinished.ts'
import type { RegisterRules } from './validate.ts'

export interface DoorParts {
  readonly register: Register
  readonly notify: Notify
  readonly rules: RegisterRules
  readonly logRefusal: LogRefusal
  /** How the companion is, in words of the form key=value on one line. */
  readonly status: () => string
  /** Both doors share these. */
  readonly unfinished: Unfinished
  readonly connections: Connections
}
