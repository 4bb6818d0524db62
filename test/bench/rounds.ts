/** Measures several things in turn, A B C A B C …, so that a noisy machine hurts all of them alike. */

/** The measurements, by name. `round` counts from 0; the first is thrown away. */
export type Contestants<Name extends string, Sample> = Readonly<
  Record<Name, (round: number) => Promise<Sample>>
>

/**
 * Runs every contestant once to warm it up, then `rounds` times; resolves with the samples in the order of the rounds.
 */
export async function takeTurns<Name extends string, Sample>(
  rounds: number,
  contestants: Contestants<Name, Sample>,
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
