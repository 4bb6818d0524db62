/**
 * A valid registration → the topic that the phone is told. Decides where the registration is kept: in the store, or
 * in the spool where the store does not take it. Knows no protocol and neither of the two from inside.
 *
 * Dovecot's plugin waits one second in all and then tells the phone an empty topic, so no answer takes longer than
 * 700 ms from the request, whatever it waits for.
 */

import { type Clock, systemClock } from '../base/clock.ts'
import { within } from '../base/deadline.ts'
import { TOPIC } from '../base/limits.ts'
import { reasonOf } from '../base/log.ts'
import type { RegistrationOutcome } from '../observe/decisions.ts'
import type { Outages, Place } from './outages.ts'
import { Unavailable } from './refusal.ts'
import type { Save, Spool } from './spool.ts'
import type { ValidRegister } from './validate.ts'

/** Milliseconds after the request until which the store may answer, and then the spool. */
const STORE_DEADLINE_MS = 400
const SPOOL_DEADLINE_MS = 650

/** Each gets so long at least: where this process was held up itself, the answer is late already, but the plugin may wait. */
const LEAST_MS = 40

export interface AcceptParts {
  /** Saves a live registration in the store, perhaps late. */
  readonly save: Save
  readonly spool: Pick<Spool, 'add'>
  /** Told of how saving and spooling go, here and elsewhere. */
  readonly outages: Outages
  /** Told of what became of each. */
  readonly registered: (outcome: RegistrationOutcome) => void
  /** The topic of today's certificate. Throws when there is none. */
  readonly topic: () => string
}

/** `receivedAt`: ms since the epoch. Resolves with the topic, rejects with Unavailable. */
export type Accept = (request: ValidRegister, receivedAt: number) => Promise<string>

export function makeAccept(
  { save, spool, outages, registered, topic }: AcceptParts,
  clock: Clock = systemClock,
): Accept {
  return async ({ user, account, token, subtopic, mailboxes }, at) => {
    // Each member by name: Node takes 1.6 µs for a copy of "the rest" of an object.
    const registration = { account, token, subtopic, mailboxes, topic: checkedTopic(topic), at }
    const keepIn = (place: Place, deadline: number, keep: Save) => {
      const ms = Math.max(LEAST_MS, at + deadline - clock.now())
      return outages.watch(place, user, within(keep(user, registration), ms, place, clock))
    }
    const toStore = (deadline: number) => keepIn('store', deadline, save).then(() => registered('saved'))
    const toSpool = () =>
      keepIn('spool', SPOOL_DEADLINE_MS, (name, kept) => spool.add(name, kept)).then(() =>
        registered('spooled'),
      )
    try {
      // The store first, unless it is away: then trying it may cost 400 ms.
      if (outages.isAway('store')) {
        await toSpool().catch(error => {
          if (!outages.mayProbeStore()) throw error
          return orElse(error, toStore(SPOOL_DEADLINE_MS))
        })
      } else {
        await toStore(STORE_DEADLINE_MS).catch(async error => {
          await orElse(error, toSpool())
          outages.sayOneWaits(user)
        })
      }
    } catch (error) {
      registered('unavailable')
      throw new Unavailable('temporarily unavailable, try again', { cause: error })
    }
    return registration.topic
  }
}

/** An empty topic crashes the user's imap process, and one with a line break would be two answers. */
function checkedTopic(topic: () => string): string {
  try {
    const value = topic()
    if (TOPIC.test(value)) return value
  } catch (cause) {
    throw new Unavailable('push is not configured', { cause })
  }
  throw new Unavailable('push is not configured')
}

/** Waits for the second way after the first has failed with `error`. Rejects with both causes. */
async function orElse(error: unknown, second: Promise<unknown>): Promise<void> {
  await second.catch(cause => {
    throw new AggregateError([error, cause], `${reasonOf(error)}; ${reasonOf(cause)}`)
  })
}
