/** How a request that fails is answered, whichever protocol it came in, and how that is logged. */

import { type Clock, systemClock } from '../base/clock.ts'
import { MAX_USER_BYTES } from '../base/limits.ts'
import { type Log, maskUser, reasonOf } from '../base/log.ts'
import { onceAMinute } from '../base/transition-log.ts'

/**
 * A request that is refused. `message` is fit to be sent back and logged: one line of printable ASCII, at most
 * 100 characters, none of them the sender's.
 */
export class BadRequest extends Error {
  override name = 'BadRequest'
  /** The user name as it came, when it was read before the fault was found. To be masked in the log. */
  readonly user: string | undefined

  constructor(message: string, user?: string) {
    super(message)
    this.user = user !== undefined && Buffer.byteLength(user) <= MAX_USER_BYTES ? user : undefined
  }
}

/** A good request that cannot be served now. `message` is fit to be sent back. */
export class Unavailable extends Error {
  override name = 'Unavailable'
}

/** A bad request for which HTTP has a status of its own. */
export class Refused extends BadRequest {
  override name = 'Refused'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** What the sender is told: a status of HTTP and one line of text. Only what we wrote ourselves is sent back. */
export function answerTo(error: unknown): { readonly status: number; readonly text: string } {
  if (error instanceof Refused) return { status: error.status, text: error.message }
  if (error instanceof BadRequest) return { status: 400, text: error.message }
  if (error instanceof Unavailable) return { status: 503, text: error.message }
  return { status: 500, text: 'internal error' }
}

/** `door`: where the request came in. */
export type LogRefusal = (door: 'socket' | 'http', error: unknown) => void

const MINUTE_MS = 60_000

/**
 * Logs refusals, one a minute per cause and user, ten in all, and the number of the others after that: bad
 * requests must not fill the disk with our log. Faults of our own are logged as errors.
 */
export function makeLogRefusal(log: Log, clock: Clock = systemClock): LogRefusal {
  const isNew = onceAMinute(clock)
  let more = 0

  const sayHowMany = () => {
    log.warn('more requests were refused in the last minute', { count: more })
    more = 0
  }

  return (door, error) => {
    const user = error instanceof BadRequest && error.user !== undefined ? { user: maskUser(error.user) } : {}
    const fields = { door, reason: reasonOf(error), ...user }
    if (!isNew(Object.values(fields).join(' '))) {
      if (more === 0) clock.after(MINUTE_MS, sayHowMany)
      more += 1
    } else if (answerTo(error).status === 500) log.error('a request failed', fields)
    else log.warn('a request was refused', fields)
  }
}
