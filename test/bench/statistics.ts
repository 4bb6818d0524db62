/** Figures of many samples. Pure. */

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

/** Sample by sample how much `ours` is of `theirs`. Both have as many. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, index) => value / (theirs[index] ?? Number.NaN))
}
