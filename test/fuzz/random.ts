/** Random choices that a seed repeats on any machine. */

export interface Random {
  /** A whole number from 0 to `limit` - 1; 0 when `limit` is 0. */
  below(limit: number): number
  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T
}

/** Numbers from 0 to 1: Mulberry32 (Tommy Ettinger, public domain): 32 bits of state, good enough to choose mutations. */
export function seededNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function seededRandom(seed: number): Random {
  const next = seededNumbers(seed)
  const below = (limit: number): number => Math.floor(next() * limit)
  return { below, pick: items => items[below(items.length)] as (typeof items)[number] }
}
