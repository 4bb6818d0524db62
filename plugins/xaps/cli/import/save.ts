/** Entries of a file → the store, many at a time. Counts the outcomes, and names the devices that are skipped. */

import { forEachAtOnce } from '../../base/batch.ts'
import { maskToken } from '../../base/log.ts'
import type { UserRecord } from '../../device/device.ts'
import { type Outcome, restore } from '../../device/record.ts'
import type { DeviceStore } from '../../device/store.ts'
import { BadRequest } from '../../registration/refusal.ts'
import { type CheckRules, checkEntry } from './check.ts'
import type { Entry } from './formats.ts'

/** Changes that wait for the store at once: enough for LMDB to commit many together, and few to hold. */
const AT_ONCE = 256

type Update = DeviceStore['update']

export interface ImportRules extends CheckRules {
  readonly maxDevices: number
}

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
  await forEachAtOnce(entries, AT_ONCE, entry => importEntry(entry, update, rules, tally))
}

async function importEntry(entry: Entry, update: Update, rules: ImportRules, tally: Tally): Promise<void> {
  try {
    const { user, device, dated } = checkEntry(entry, rules)
    let outcome: Outcome = 'known'
    await update(user, record => {
      const restored = restore(record, device, { maxDevices: rules.maxDevices, dated })
      outcome = restored.outcome
      return restored.record
    })
    tally.add(OUTCOMES[outcome], nameOf(user, device.token))
  } catch (error) {
    if (!(error instanceof BadRequest)) throw error
    tally.add(error.message, nameOf(entry.user, entry.token))
  }
}

/** An `update` for a dry run: the same changes to the same records, none of which reaches the store. */
export function rehearse(store: Pick<DeviceStore, 'update'>): Update {
  const records = new Map<string, Promise<UserRecord>>()
  return (user, change) => {
    // The whole record, with Apple's reports: a change that returns what it got is none.
    const record = (records.get(user) ?? store.update(user, stored => stored)).then(change)
    records.set(user, record)
    return record
  }
}

/** As the operator reads them; the last two are reasons to skip a device. */
const OUTCOMES: Readonly<Record<Outcome, string>> = {
  taken: 'taken',
  renewed: 'renewed',
  known: 'already known',
  gone: 'gone: Apple has reported it since',
  'no room': 'no room: the user has max_devices later ones',
}

/** The outcomes of an import, counted. */
export class Tally {
  readonly #onSkip: (line: string) => void
  readonly #onDevice: (devices: number) => void
  readonly #counts = new Map([OUTCOMES.taken, OUTCOMES.renewed, OUTCOMES.known].map(label => [label, 0]))
  readonly #reasons = new Map<string, number>()
  #devices = 0
  #skipped = 0

  /** `onSkip` gets a line for each device that is skipped, `onDevice` the number of devices handled so far. */
  constructor(onSkip: (line: string) => void, onDevice: (devices: number) => void = () => undefined) {
    this.#onSkip = onSkip
    this.#onDevice = onDevice
  }

  /** Any outcome that leaves a device out of the store is a reason to skip it; `device` names it to the operator. */
  add(outcome: string, device: string): void {
    const counts = this.#counts.has(outcome) ? this.#counts : this.#reasons
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
    if (counts === this.#reasons) {
      this.#skipped += 1
      this.#onSkip(`skipped ${device}: ${outcome}`)
    }
    this.#devices += 1
    this.#onDevice(this.#devices)
  }

  /** As data; `reasons` counts the skipped ones. */
  counts(): Readonly<Record<string, number | Readonly<Record<string, number>>>> {
    const of = (outcome: Outcome) => this.#counts.get(OUTCOMES[outcome]) ?? 0
    const [taken, renewed, known] = [of('taken'), of('renewed'), of('known')]
    return { taken, renewed, known, skipped: this.#skipped, reasons: Object.fromEntries(this.#reasons) }
  }

  /** Lines of a small table: a label and a count each. */
  lines(): string[] {
    const reasons = [...this.#reasons].map(([reason, count]) => [`  ${reason}`, count] as const)
    const rows = [...this.#counts, ['skipped', this.#skipped] as const, ...reasons]
    const width = Math.max(...rows.map(([label]) => label.length))
    return rows.map(([label, count]) => `${label.padEnd(width)}  ${String(count).padStart(8)}`)
  }
}

/** The longest part of a value that is shown. */
const SHOWN = 255

/** Names a device to the operator, to whom the data belong: the user in full, the token masked. */
function nameOf(user: unknown, token: unknown): string {
  const name = typeof user === 'string' && user !== '' ? user.slice(0, SHOWN) : '(no user)'
  return typeof token === 'string' ? `${name} ${maskToken(token)}` : `${name} (no token)`
}
