/**
 * The coalescing rule played in its simplest form, to hold the real thing against: knows all events of one device
 * beforehand and computes when its pushes start. And random schedules of events to play, for fast-check.
 */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { batchOf, covers, type DeviceEvent, merge, type Rule } from '../../plugins/xaps/push/rule.ts'
import { FakeClock } from '../support/fake-clock.ts'

/** An event for one of some devices, seen by one of some processes. */
export interface Seen extends DeviceEvent {
  readonly device: number
  readonly process: number
}

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

/** Asserts that no two pushes of a device, in the order of time, start within one window of 5 s. */
export function assertWindows(pushes: readonly number[]): void {
  for (const [index, at] of pushes.slice(1).entries())
    assert.ok(at - (pushes[index] ?? 0) >= 5_000, `${pushes}`)
}

/** The events of one device. */
export function of(device: number, events: readonly Seen[]): Seen[] {
  return events.filter(event => event.device === device)
}

/** Up to 60 events for so many devices, seen by so many processes, in the order of time. */
export function schedules(devices: number, processes: number): fc.Arbitrary<Seen[]> {
  const event = fc.record({
    // As they come: bursts, traffic within a window, silence.
    gap: fc.oneof(fc.nat(3), fc.nat(2_000), fc.nat(60_000)),
    kind: fc.constantFrom('new', 'new', 'change') as fc.Arbitrary<'new' | 'change'>,
    device: fc.nat(devices - 1),
    process: fc.nat(processes - 1),
  })
  return fc.array(event, { minLength: 1, maxLength: 60, size: 'max' }).map(list => {
    let at = new FakeClock().now() + 1
    return list.map(({ gap, ...seen }) => {
      at += gap
      return { ...seen, at }
    })
  })
}
