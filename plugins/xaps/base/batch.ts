/** Collects single items into batches, for work that costs as much for many as for one. */

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
