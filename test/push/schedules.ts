/** Random schedules of events, for fast-check. */

import fc from 'fast-check'
import type { DeviceEvent } from '../../plugins/xaps/push/rule.ts'
import { FakeClock } from '../support/fake-clock.ts'

/** An event for one of some devices, seen by one of some processes. */
export interface Seen extends DeviceEvent {
  readonly device: number
  readonly process: number
}

const kinds = fc.constantFrom('new', 'new', 'change') as fc.Arbitrary<'new' | 'change'>

/** Gaps as they come: bursts, traffic within a window, silence. */
const gaps = fc.oneof(
  fc.integer({ min: 0, max: 3 }),
  fc.integer({ min: 0, max: 2_000 }),
  fc.integer({ max: 60_000, min: 0 }),
)

/** Up to 60 events for so many devices, seen by so many processes, in the order of time. */
export function schedules(devices: number, processes: number): fc.Arbitrary<Seen[]> {
  const event = fc.record({
    gap: gaps,
    kind: kinds,
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
