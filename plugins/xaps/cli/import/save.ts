/** Entries of a file → the store, many at a time. Counts the outcomes, and names the devices that are skipped. */

import { maskToken } from '../../base/log.ts'
import { EMPTY_RECORD, type UserRecord } from '../../device/device.ts'
import { type Outcome, restore } from '../../device/record.ts'
import type { DeviceStore } from '../../device/store.ts'
import { BadRequest } from '../../registration/refusal.ts'
import { type Candidate, type CheckRules, checkEntry } from './check.ts'
import type { Entry } from './formats.ts'

/** Changes that wait for the store at once: enough for LMDB to commit many together, and few to hold. */
const AT_ONCE = 256

/** Changes one user's record; the same as a DeviceStore's `update`. */
export type Update = (user: string, change: (record: UserRecord) => UserRecord) => Promise<unknown>

export interface ImportRules extends CheckRules {
  readonly maxDevices: number
}

const SKIPPED = {
  gone: 'gone: Apple has reported it since',
  'no room': 'no room: the user has max_devices later ones',
} as const

/**
 * Handles every entry. Rejects with the error of the file or the store, after the changes under way have ended; `tally`
 * then has the devices taken before.
 */
export async function importAll(
  entries: Iterable<Entry>,
  update: Update,
  rules: ImportRules,
  tally: Tally,
): Promise<void> {
  const shared = entries[Symbol.iterator]()
  const worker = async (): Promise<void> => {
    for (let next = shared.next(); !next.done; next = shared.next())
      await importEntry(next.value, update, rules, tally)
  }
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker))
  const failure = ends.find(end => end.status === 'rejected')
  if (failure) throw failure.reason
}

async function importEntry(entry: Entry, update: Update, rules: ImportRules, tally: Tally): Promise<void> {
  const candidate = tryCheck(entry, rules)
  if (typeof candidate === 'string') return tally.skip(candidate, nameOf(entry.user, entry.token))
  const outcome = await save(candidate, update, rules.maxDevices)
  if (outcome === 'gone' || outcome === 'no room')
    return tally.skip(SKIPPED[outcome], nameOf(candidate.user, candidate.device.token))
  tally.count(outcome)
}

/** The candidate, or why the entry is none. */
function tryCheck(entry: Entry, rules: ImportRules): Candidate | string {
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

/** An `update` for a dry run: the same changes to the same records, none of which reaches the store. */
export function rehearse(store: Pick<DeviceStore, 'update'>): DeviceStore['update'] {
  const records = new Map<string, Promise<UserRecord>>()
  return (user, change) => {
    const record = (records.get(user) ?? recordIn(store, user)).then(change)
    records.set(user, record)
    return record
  }
}

/** The whole record, with Apple's reports: a change that returns what it got is none. */
async function recordIn(store: Pick<DeviceStore, 'update'>, user: string): Promise<UserRecord> {
  let seen = EMPTY_RECORD
  await store.update(user, record => {
    seen = record
    return record
  })
  return seen
}

type Counted = Exclude<Outcome, 'gone' | 'no room'>

/** The outcomes of an import, counted. */
export interface Tally {
  count(outcome: Counted): void
  /** `device` names the device to the operator. */
  skip(reason: string, device: string): void
  /** Lines of a small table: a label and a count each. */
  lines(): string[]
}

/** `onSkip` gets a line for each device that is skipped, `onDevice` the number of devices handled so far. */
export function makeTally(
  onSkip: (line: string) => void,
  onDevice: (devices: number) => void = () => undefined,
): Tally {
  const counts: Record<Counted, number> = { taken: 0, renewed: 0, known: 0 }
  const reasons = new Map<string, number>()
  let total = 0
  let skipped = 0
  const handled = () => {
    total += 1
    onDevice(total)
  }
  return {
    count(outcome) {
      counts[outcome] += 1
      handled()
    },
    skip(reason, device) {
      skipped += 1
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
      onSkip(`skipped ${device}: ${reason}`)
      handled()
    },
    lines: () =>
      table([
        ['taken', counts.taken],
        ['renewed', counts.renewed],
        ['already known', counts.known],
        ['skipped', skipped],
        ...[...reasons].map(([reason, count]) => [`  ${reason}`, count] as const),
      ]),
  }
}

function table(rows: ReadonlyArray<readonly [label: string, count: number]>): string[] {
  const width = Math.max(...rows.map(([label]) => label.length))
  return rows.map(([label, count]) => `${label.padEnd(width)}  ${String(count).padStart(8)}`)
}

/** The longest part of a value that is shown. */
const SHOWN = 255

/** Names a device to the operator, to whom the data belong: the user in full, the token masked. */
function nameOf(user: unknown, token: unknown): string {
  const name = typeof user === 'string' && user !== '' ? user.slice(0, SHOWN) : '(no user)'
  return typeof token === 'string' ? `${name} ${maskToken(token)}` : `${name} (no token)`
}
