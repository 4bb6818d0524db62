/**
 * A valid registration → the topic that the phone is told. Decides where the registration is kept: in the store, or
 * in the spool while the store does not answer. Knows no protocol and neither of the two from inside.
 *
 * Dovecot's plugin waits one second in all and then tells the phone an empty topic, so no answer takes longer than
 * 700 ms from the request, whatever it waits for.
 */

import { type Clock, systemClock } from '../clock.ts'
import { type Log, reasonOf } from '../log.ts'
import { within } from './deadline.ts'
import { Unavailable } from './refusal.ts'
import type { Spool, SpoolEntry } from './spool.ts'
import type { Registration } from './validate.ts'

/** Milliseconds after the request until which the store may answer, and then the spool. */
const STORE_DEADLINE_MS = 400
const SPOOL_DEADLINE_MS = 650

/** What each gets at least: where this process was held up itself, the answer is late already, but the plugin may wait. */
const LEAST_MS = 40

/** Where registrations went last: a change of it is worth one line in the log. */
type Kept = 'store' | 'spool' | 'nowhere'

export interface RegisterParts {
  /** Saves an entry in the store; must be harmless when it is late or runs twice. */
  readonly save: (entry: SpoolEntry) => Promise<unknown>
  readonly spool: Pick<Spool, 'add' | 'size'>
  /** The topic of today's certificate. Throws when there is none. */
  readonly topic: () => string
  readonly log: Log
}

/** `receivedAt`: ms since the epoch. Resolves with the topic, rejects with Unavailable. */
export type Register = (registration: Registration, receivedAt: number) => Promise<string>

export function makeRegister(
  { save, spool, topic, log }: RegisterParts,
  clock: Clock = systemClock,
): Register {
  const report = reportChanges(log)

  const by = (deadline: number, work: Promise<unknown>, what: string, { at }: SpoolEntry) =>
    within(work, Math.max(LEAST_MS, at + deadline - clock.now()), what, clock)
  const toStore = (entry: SpoolEntry) => by(STORE_DEADLINE_MS, save(entry), 'store', entry)
  const toSpool = (entry: SpoolEntry) => by(SPOOL_DEADLINE_MS, spool.add(entry), 'spool', entry)
  const toStoreAfterAll = (entry: SpoolEntry) => by(SPOOL_DEADLINE_MS, save(entry), 'store', entry)

  /** The store first, unless something waits in the spool: then the store is away, and trying it costs 400 ms. */
  const keep = async (entry: SpoolEntry): Promise<void> => {
    const away = spool.size > 0
    const [first, second] = away ? [toSpool, toStoreAfterAll] : [toStore, toSpool]
    try {
      await first(entry)
      report(away ? 'spool' : 'store')
    } catch (error) {
      await second(entry).catch(cause => {
        throw new AggregateError([error, cause], `${reasonOf(error)}; ${reasonOf(cause)}`)
      })
      report(away ? 'store' : 'spool', error)
    }
  }

  return async (registration, receivedAt) => {
    const entry = { ...registration, topic: checkedTopic(topic), at: receivedAt }
    try {
      await keep(entry)
    } catch (error) {
      report('nowhere', error)
      throw new Unavailable('temporarily unavailable, try again', { cause: error })
    }
    return entry.topic
  }
}

/** An empty topic crashes the user's imap process, and one with a line break would be two answers. */
function checkedTopic(topic: () => string): string {
  try {
    const value = topic()
    if (/^[\x21-\x7e]+$/.test(value)) return value
  } catch (cause) {
    throw new Unavailable('push is not configured', { cause })
  }
  throw new Unavailable('push is not configured')
}

function reportChanges(log: Log): (kept: Kept, error?: unknown) => void {
  let last: Kept = 'store'
  return (kept, error) => {
    if (kept === last) return
    last = kept
    if (kept === 'store') log.notice('registrations are saved in the store again')
    if (kept === 'spool')
      log.warn('the store does not take registrations, they wait in the spool', {
        reason: reasonOf(error ?? ''),
      })
    if (kept === 'nowhere')
      log.error('registrations are refused: neither store nor spool takes them', { reason: reasonOf(error) })
  }
}
