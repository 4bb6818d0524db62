/** Collects what comes one by one and hands it on in groups, for work that costs as much for many as for one. */

/** So many in one turn of the event loop are a rush: what follows is worth waiting for. */
const RUSH = 4

/**
 * Returns a function that adds an item to the next group. It leaves with all that came in the same turn of the event
 * loop; in a rush, `everyMs` milliseconds after the one before. `work` must not throw.
 */
export function inGroups<T>(everyMs: number, work: (group: readonly T[]) => void): (item: T) => void {
  let group: T[] = []
  let notBefore = 0
  const leave = (): void => {
    const leaving = group
    group = []
    notBefore = leaving.length < RUSH ? 0 : performance.now() + everyMs
    work(leaving)
  }
  return item => {
    if (group.push(item) > 1) return
    const early = notBefore - performance.now()
    if (early > 0) setTimeout(leave, early)
    else setImmediate(leave)
  }
}
