/** Random choices that a seed repeats on any machine. */

export interface Random {
  /** A whole number from 0 to `limit` - 1; 0 when `limit` is 0. */
  below(limit: number): number
  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T
}

/** Mulberry32 (Tommy Ettinger, public domain): 32 bits of state, good enough to choose mutations. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return { below, pick: items => items[below(items.length)] as (typeof items)[number] }
}
