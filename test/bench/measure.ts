/** What a benchmark is, how its samples are taken, and how they become a row of the table. */

import type { Scope } from '../support/owned.ts'

/** How much is measured: all of it, or as much as two minutes allow. */
export interface Scale {
  readonly quick: boolean
  /** The number for a full run, or for a quick one. */
  of(full: number, quick: number): number
  /** Where the measured processes leave a CPU profile when they end; undefined: nowhere. */
  readonly profileDir: string | undefined
}

export type Bench = (scale: Scale, scope: Scope) => Promise<Row[]>

/** A bound on our figure, or on what it is of the baseline's. */
export interface Target {
  readonly of: 'figure' | 'ratio'
  readonly most?: number
  readonly least?: number
}

/** One figure, the same figure of something simpler where there is one, and what it is asked to be. */
export interface Row {
  readonly what: string
  readonly unit: string
  readonly ours: number
  readonly baseline: { readonly what: string; readonly value: number; readonly ratio: number }
  readonly target?: Target
}

/** Samples of something simpler, in turns with ours: the n-th belongs to our n-th. */
export type Baseline = readonly [what: string, values: readonly number[]]

/** Medians. The ratio is the median of each round's ratio, for the machine changes between rounds. */
export function row(
  what: string,
  unit: string,
  ours: readonly number[],
  [name, values]: Baseline,
  target?: Target,
): Row {
  const ratios = ours.map((value, index) => value / (values[index] ?? Number.NaN))
  const baseline = { what: name, value: median(values), ratio: median(ratios) }
  return { what, unit, ours: median(ours), baseline, ...(target && { target }) }
}

/** Undefined for a row without a target. */
export function isMet({ ours, baseline, target }: Row): boolean | undefined {
  if (!target) return undefined
  const value = target.of === 'figure' ? ours : baseline.ratio
  const { most = Number.POSITIVE_INFINITY, least = Number.NEGATIVE_INFINITY } = target
  return value <= most && value >= least
}

/** The middle one, or the mean of the two middle ones. Throws without samples. */
export function median(samples: readonly number[]): number {
  return (quantile(samples, 0.5, Math.floor) + quantile(samples, 0.5, Math.ceil)) / 2
}

/** The sample that the part `share` (0 to 1) of them does not exceed. Throws without samples. */
export function quantile(samples: readonly number[], share: number, round = Math.ceil): number {
  const sorted = [...samples].sort((a, b) => a - b)
  const found = sorted[round((sorted.length - 1) * share)]
  if (found === undefined) throw new RangeError('no samples')
  return found
}

/**
 * Measures several things in turn, A B C A B C …, so that a noisy machine hurts all of them alike: each once to warm
 * up, then `rounds` times. Resolves with the samples in the order of the rounds, which are counted from 0, the warm-up.
 */
export async function takeTurns<Name extends string, Sample>(
  rounds: number,
  contestants: Readonly<Record<Name, (round: number) => Promise<Sample>>>,
): Promise<Record<Name, Sample[]>> {
  const names = Object.keys(contestants) as Name[]
  const samples = Object.fromEntries(names.map(name => [name, [] as Sample[]])) as Record<Name, Sample[]>
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const sample = await contestants[name](round)
      if (round > 0) samples[name].push(sample)
    }
  }
  return samples
}
