/** Entries of a file → the store, many at a time. Counts what becomes of each, and names what is skipped. */

import type { UserRecord } from '../../device/device.ts'
import { type Outcome, restore } from '../../device/record-import.ts'
import { maskToken } from '../../log.ts'
import { BadRequest } from '../../registration/request.ts'
import { type Candidate, type CheckRules, checkEntry } from './check.ts'
import type { Entry } from './format.ts'
import type { Tally } from './tally.ts'

/** Changes that wait for the store at once: enough for LMDB to commit many together, and few to hold. */
const AT_ONCE = 256

/** Changes one user's record; the same as a DeviceStore's `update`. */
export type Update = (user: string, change: (record: UserRecord) => UserRecord) => Promise<unknown>

export interface TakeRules extends CheckRules {
  readonly maxDevices: number
}

const REASONS = {
  gone: 'gone: Apple has reported it since',
  'no room': 'no room: the user has max_devices later ones',
} as const

/**
 * Handles every entry. Rejects, after what is under way has ended, with what the file or the store fails with; `tally`
 * then says what was taken before.
 */
export async function takeAll(
  entries: AsyncIterable<Entry>,
  update: Update,
  rules: TakeRules,
  tally: Tally,
): Promise<void> {
  const worker = async (): Promise<void> => {
    for await (const entry of entries) await take(entry, update, rules, tally)
  }
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker))
  const failure = ends.find(end => end.status === 'rejected')
  if (failure) throw failure.reason
}

async function take(entry: Entry, update: Update, rules: TakeRules, tally: Tally): Promise<void> {
  const candidate = tryCheck(entry, rules)
  if (typeof candidate === 'string') return tally.skip(candidate, nameOf(entry.user, entry.token))
  const outcome = await save(candidate, update, rules.maxDevices)
  if (outcome === 'gone' || outcome === 'no room')
    return tally.skip(REASONS[outcome], nameOf(candidate.user, candidate.device.token))
  tally.count(outcome)
}

/** The candidate, or why the entry is none. */
function tryCheck(entry: Entry, rules: TakeRules): Candidate | string {
  try {
    return checkEntry(entry, rules)
  } catch (error) {
    if (error instanceof BadRequest) return error.message
    throw error
  }
}

async function save(
  { user, device, dated }: Candidate,
  update: Update,
  maxDevices: number,
): Promise<Outcome> {
  let outcome: Outcome = 'known'
  await update(user, record => {
    const restored = restore(record, device, { maxDevices, dated })
    outcome = restored.outcome
    return restored.record
  })
  return outcome
}

/** The longest part of a value that is shown. */
const SHOWN = 255

/** Whose device it is, for the operator whose data this is: the user in full, the token masked. */
function nameOf(user: unknown, token: unknown): string {
  const name = typeof user === 'string' && user !== '' ? user.slice(0, SHOWN) : '(no user)'
  return typeof token === 'string' ? `${name} ${maskToken(token)}` : `${name} (no token)`
}
