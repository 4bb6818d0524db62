/** Many items: collected into batches, for work that costs as much for many as for one, or some at a time. */

/** When batches leave. */
export interface Pace {
  /** Milliseconds. */
  readonly everyMs: number
  /** Not so many items in `everyMs` are few. */
  readonly many: number
}

/**
 * Returns a function that adds an item to the next batch. A batch holds all items of one turn of the event loop, and is
 * worked on at the turn's end. Where items come fast, `many` of them within `everyMs` milliseconds, a batch waits until so
 * long after the one before. `work` must not throw.
 */
export function inBatches<T>(
  { everyMs, many }: Pace,
  work: (batch: readonly T[]) => void,
): (item: T) => void {
  let batch: T[] = []
  let notBefore = 0
  /** When the last `many` items came; the oldest of them is the one at `next`. */
  const times: number[] = new Array(many).fill(Number.NEGATIVE_INFINITY)
  let next = 0
  const flush = (): void => {
    const full = batch
    batch = []
    notBefore = performance.now() + everyMs
    work(full)
  }
  return item => {
    const now = performance.now()
    const areMany = now - (times[next] ?? 0) < everyMs
    times[next] = now
    next = (next + 1) % many
    if (batch.push(item) > 1) return
    if (areMany && now < notBefore) setTimeout(flush, notBefore - now)
    else setImmediate(flush)
  }
}

/**
 * Calls `work` with every item, `atOnce` of them at a time, and reads no further ahead. Rejects with the first error, of
 * `work` or of the items, after all that could be done without it has ended.
 */
export async function forEachAtOnce<T>(
  items: Iterable<T> | AsyncIterable<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const shared = Symbol.iterator in items ? items[Symbol.iterator]() : items[Symbol.asyncIterator]()
  const worker = async () => {
    for (let next = await shared.next(); !next.done; next = await shared.next()) await work(next.value)
  }
  const ends = await Promise.allSettled(Array.from({ length: atOnce }, worker))
  const failure = ends.find(end => end.status === 'rejected')
  if (failure) throw failure.reason
}
