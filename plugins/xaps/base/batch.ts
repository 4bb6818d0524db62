/** Collects what comes one by one and hands it on in groups, for work that costs as much for many as for one. */

/**
 * Returns a function that adds an item to the next group. It leaves with all that came in the same turn of the event
 * loop, but not sooner than `everyMs` milliseconds after the one before: what comes alone does not wait.
 * `work` must not throw.
 */
export function inGroups<T>(everyMs: number, work: (group: readonly T[]) => void): (item: T) => void {
  let group: T[] = []
  let notBefore = 0
  const leave = (): void => {
    const leaving = group
    group = []
    notBefore = performance.now() + everyMs
    work(leaving)
  }
  return item => {
    if (group.push(item) > 1) return
    const early = notBefore - performance.now()
    if (early > 0) setTimeout(leave, early)
    else setImmediate(leave)
  }
}
