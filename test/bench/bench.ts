/** A benchmark, and how its samples become a row of the table. */

import { median, ratios } from './statistics.ts'

/** How much is measured: all of it, or as much as two minutes allow. */
export interface Scale {
  readonly quick: boolean
  /** The number for a full run, or for a quick one. */
  of(full: number, quick: number): number
  /** Where the measured processes leave a CPU profile when they end; undefined: nowhere. */
  readonly profileDir: string | undefined
}

export type Bench = (scale: Scale) => Promise<Row[]>

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
  readonly baseline?: { readonly what: string; readonly value: number; readonly ratio: number }
  readonly target?: Target
}

export interface Samples {
  readonly what: string
  readonly unit: string
  readonly ours: readonly number[]
  /** Measured in turns with ours: the n-th sample belongs to our n-th. */
  readonly baseline?: { readonly what: string; readonly values: readonly number[] }
  readonly target?: Target
}

/** Medians. The ratio is the median of each round's ratio, for the machine changes between rounds. */
export function rowOf({ ours, baseline, ...rest }: Samples): Row {
  if (!baseline) return { ...rest, ours: median(ours) }
  const { what, values } = baseline
  const compared = { what, value: median(values), ratio: median(ratios(ours, values)) }
  return { ...rest, ours: median(ours), baseline: compared }
}

/** Undefined for a row without a target. */
export function isMet({ ours, baseline, target }: Row): boolean | undefined {
  if (!target) return undefined
  const value = target.of === 'figure' ? ours : (baseline?.ratio ?? Number.NaN)
  const { most = Number.POSITIVE_INFINITY, least = Number.NEGATIVE_INFINITY } = target
  return value <= most && value >= least
}
