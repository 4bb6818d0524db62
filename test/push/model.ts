/**
 * The coalescing rule played in its simplest form, to hold the real thing against: knows all events of one device
 * beforehand and computes when its pushes start.
 */

import { batchOf, covers, type DeviceEvent, merge, type Rule } from '../../plugins/xaps/push/rule.ts'

/** When the pushes for `events` start, if every push takes `latencyMs` and is accepted. Milliseconds. */
export function pushTimes(events: readonly DeviceEvent[], rule: Rule, latencyMs = 0): number[] {
  const pushes: number[] = []
  let free = Number.NEGATIVE_INFINITY
  let open = events.map(event => batchOf(event, rule))
  while (open.length > 0) {
    const start = Math.max(open.reduce(merge).due, free)
    pushes.push(start)
    free = start + Math.max(rule.windowMs, latencyMs)
    open = open.filter(({ newest }) => !covers(start, newest))
  }
  return pushes
}
