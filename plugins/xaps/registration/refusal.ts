/** How a request that fails is answered, whichever protocol it came in, and how that is logged. */

import { type Clock, systemClock } from '../base/clock.ts'
import { MAX_USER_BYTES } from '../base/limits.ts'
import { type Log, maskUser, reasonOf } from '../base/log.ts'
import { onceAMinute } from '../base/transition-log.ts'

interface RefusalDetails {
  /** The user name as it came, when it was read before the fault was found. */
  readonly user?: string | undefined
  readonly status?: number
}

/**
 * A request that is refused. `message` is fit to be sent back and logged: one line of printable ASCII, at most
 * 100 characters, none of them the sender's.
 */
export class BadRequest extends Error {
  override name = 'BadRequest'
  /** As it came; to be masked in the log. */
  readonly user: string | undefined
  /** HTTP's. */
  readonly status: number

  constructor(message: string, { user, status = 400 }: RefusalDetails = {}) {
    super(message)
    this.status = status
    this.user = user !== undefined && Buffer.byteLength(user) <= MAX_USER_BYTES ? user : undefined
  }
}

/** A good request that cannot be served now. `message` is fit to be sent back. */
export class Unavailable extends Error {
  override name = 'Unavailable'
  readonly status = 503
}

/** The answer to a request that fails: a status of HTTP and one line of text. Only our own words are sent back. */
export function answerTo(error: unknown): { readonly status: number; readonly text: string } {
  if (error instanceof BadRequest || error instanceof Unavailable)
    return { status: error.status, text: error.message }
  return { status: 500, text: 'internal error' }
}

/** `listener`: where the request came in. */
export type LogRefusal = (listener: 'socket' | 'http', error: unknown) => void

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

  return (listener, error) => {
    const user = error instanceof BadRequest && error.user !== undefined ? { user: maskUser(error.user) } : {}
    const fields = { listener, reason: reasonOf(error), ...user }
    if (!isNew(Object.values(fields).join(' '))) {
      if (more === 0) clock.after(MINUTE_MS, sayHowMany)
      more += 1
    } else if (answerTo(error).status === 500) log.error('a request failed', fields)
    else log.warn('a request was refused', fields)
  }
}
