/** How a request that fails is answered, whichever protocol it came in, and how that is logged. */

import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, maskUser, reasonOf } from '../base/log.ts'
import { onceAMinute } from '../base/once-a-minute.ts'
import { BadRequest } from './request.ts'

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

/** More bytes than any request has. */
export function tooLarge(limit: number): Refused {
  return new Refused(413, `longer than ${limit} bytes`)
}

/** A request that is given up before it is whole: the memory is needed for those that came later. */
export function busy(): Unavailable {
  return new Unavailable('busy, try again')
}

/** What the sender is told: a status of HTTP and one line of text. Only what we wrote ourselves is sent back. */
export function answerTo(error: unknown): { readonly status: number; readonly text: string } {
  if (error instanceof Refused) return { status: error.status, text: error.message }
  if (error instanceof BadRequest) return { status: 400, text: error.message }
  if (error instanceof Unavailable) return { status: 503, text: error.message }
  return { status: 500, text: 'internal error' }
}

/** Where a request came in. */
export type Door = 'socket' | 'http'

export type LogRefusal = (door: Door, error: unknown) => void

const MINUTE_MS = 60_000

/**
 * Logs refusals, one a minute per cause and user, ten in all, and the number of the others after that: whoever sends
 * bad requests must not fill the disk with our log. Faults of our own are no refusals of ours and are logged as errors.
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
