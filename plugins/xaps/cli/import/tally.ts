/** What an import did, counted, and told at its end. */

import type { Outcome } from '../../device/record-import.ts'

type Counted = Exclude<Outcome, 'gone' | 'no room'>

export interface Tally {
  count(outcome: Counted): void
  /** `device` names the device to the operator. */
  skip(reason: string, device: string): void
  /** Devices handled so far. */
  total(): number
  /** Lines of a small table: a label and a count each. */
  lines(): string[]
}

/** `onSkip` gets one line for each device that is skipped. */
export function makeTally(onSkip: (line: string) => void): Tally {
  const counts: Record<Counted, number> = { taken: 0, renewed: 0, known: 0 }
  const reasons = new Map<string, number>()
  const skipped = (): number => [...reasons.values()].reduce((sum, count) => sum + count, 0)
  let total = 0
  return {
    count(outcome) {
      counts[outcome] += 1
      total += 1
    },
    skip(reason, device) {
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
      total += 1
      onSkip(`skipped ${device}: ${reason}`)
    },
    total: () => total,
    lines() {
      return table([
        ['taken', counts.taken],
        ['renewed', counts.renewed],
        ['already known', counts.known],
        ['skipped', skipped()],
        ...[...reasons].map(([reason, count]) => [`  ${reason}`, count] as const),
      ])
    },
  }
}

function table(rows: ReadonlyArray<readonly [label: string, count: number]>): string[] {
  const width = Math.max(...rows.map(([label]) => label.length))
  return rows.map(([label, count]) => `${label.padEnd(width)}  ${String(count).padStart(8)}`)
}
