/** Many items: collected into batches, for work that costs as much for many as for one, or some at a time. */

/**
 * Returns a function that adds an item to the next batch. A batch holds all items of one turn of the event loop, and is
 * worked on at the turn's end, but not sooner than `everyMs` milliseconds after the one before: a lone item does not wait.
 * `work` must not throw.
 */
export function inBatches<T>(everyMs: number, work: (batch: readonly T[]) => void): (item: T) => void {
  let batch: T[] = []
  let notBefore = 0
  const flush = (): void => {
    const full = batch
    batch = []
    notBefore = performance.now() + everyMs
    work(full)
  }
  return item => {
    if (batch.push(item) > 1) return
    const early = notBefore - performance.now()
    if (early > 0) setTimeout(flush, early)
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
