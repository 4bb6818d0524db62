/** Collects single items and hands them on in batches, for work that costs as much for many as for one. */

/**
 * Returns a function that adds an item to the next batch. It leaves with all that came in the same turn of the event
 * loop, but not sooner than `everyMs` milliseconds after the one before: a lone item does not wait.
 * `work` must not throw.
 */
export function inBatches<T>(everyMs: number, work: (batch: readonly T[]) => void): (item: T) => void {
  let batch: T[] = []
  let notBefore = 0
  const leave = (): void => {
    const leaving = batch
    batch = []
    notBefore = performance.now() + everyMs
    work(leaving)
  }
  return item => {
    if (batch.push(item) > 1) return
    const early = notBefore - performance.now()
    if (early > 0) setTimeout(leave, early)
    else setImmediate(leave)
  }
}
