/**
 * The coalescing rule in its simplest form, to hold the real thing against: knows all events of one device
 * beforehand and computes when its pushes start.
 */

import type { MailEvent } from '../../plugins/xaps/event.ts'
import type { Rule } from '../../plugins/xaps/push/coalesce.ts'

export type DeviceEvent = Pick<MailEvent, 'kind' | 'at'>

/** When the pushes for `events` start, if every push takes `latencyMs` and is accepted. Milliseconds. */
export function pushTimes(events: readonly DeviceEvent[], rule: Rule, latencyMs = 0): number[] {
  const pushes: number[] = []
  let free = Number.NEGATIVE_INFINITY
  let open = events
  while (open.length > 0) {
    const due = Math.min(...open.map(event => dueOf(event, rule)))
    const start = Math.max(due, free)
    pushes.push(start)
    free = start + Math.max(rule.windowMs, latencyMs)
    open = open.filter(({ at }) => at > start)
  }
  return pushes
}

function dueOf({ kind, at }: DeviceEvent, rule: Rule): number {
  return kind === 'new' ? at : at + rule.changeDelayMs
}
