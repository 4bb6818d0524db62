/**
 * All processes of an instance in Prometheus' text format: the answer to GET /metrics. Each value has a label `process`,
 * with as many values as there are processes. Knows no HTTP, and loads prom-client when it is first asked: a companion that
 * starts has phones to answer.
 */

import { type Family, familyOf, gaugeFamily, SUMMED } from './families.ts'
import type { Overview } from './overview.ts'
import type { Report } from './report.ts'

/** The media type of the exposition: Prometheus' text format. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** What holds of the instance, not of one of its processes. */
export type InstanceState = Pick<Overview, 'spooled' | 'devices'>

/** The companion counts the devices and keeps the spool. */
const OF_INSTANCE = { process: 'companion' }

/** One report per process in, the latest of each; the whole text out, of type EXPOSITION_TYPE. */
export async function exposition(reports: readonly Report[], instance: InstanceState): Promise<string> {
  const { AggregatorRegistry } = await import('prom-client')
  const families = [...reports.map(familiesOfReport), gaugesOfInstance(reports, instance)]
  return AggregatorRegistry.aggregate(families).metrics()
}

function familiesOfReport({ process, sums, pending, apple, store }: Report): Family[] {
  const labels = { process }
  return [
    ...SUMMED.map(name => familyOf(name, sums, labels)),
    gaugeFamily('xaps_pending_pushes', pending, labels),
    gaugeFamily('xaps_apple_up', Number(apple.trouble === undefined), labels),
    gaugeFamily('xaps_store_up', store.up === undefined ? undefined : Number(store.up), labels),
  ]
}

function gaugesOfInstance(reports: readonly Report[], { spooled, devices }: InstanceState): Family[] {
  return [
    gaugeFamily('xaps_spool_entries', spooled, OF_INSTANCE),
    gaugeFamily('xaps_devices', devices?.devices, OF_INSTANCE),
    gaugeFamily('xaps_certificate_expires_timestamp_seconds', certificateEnd(reports), OF_INSTANCE),
  ]
}

/** The first end among all processes, in seconds since the epoch: one of them may still use an old certificate. */
function certificateEnd(reports: readonly Report[]): number | undefined {
  const ends = reports.flatMap(({ apple }) => apple.certificateEnds ?? [])
  return ends.length === 0 ? undefined : Math.min(...ends) / 1000
}
