/**
 * All processes of an instance in Prometheus' text format: the answer to GET /metrics. Each value has a label `process`,
 * with as many values as there are processes. Knows no HTTP, and loads prom-client when it is first asked: a companion that
 * starts has phones to answer.
 */

import { type Family, familyOf, gaugeFamily, SUMMED } from './families.ts'
import type { Overview, ProcessState } from './overview.ts'
import type { Report } from './report.ts'

/** The media type of the exposition: Prometheus' text format. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** What one process has counted and measured. */
export type ProcessSums = Pick<Report, 'process' | 'sums'>

/** The processes that are here, and what holds of the instance as a whole. */
export type InstanceState = Pick<Overview, 'processes' | 'spooled' | 'devices'>

/** The companion counts the devices and keeps the spool. */
const OF_INSTANCE = { process: 'companion' }

/**
 * The whole text, of type EXPOSITION_TYPE. `sums`: of each process once, of those too that are gone, for sums may not shrink. A
 * process that is gone has no state, though: its gauges are gone with it.
 */
export async function exposition(sums: readonly ProcessSums[], instance: InstanceState): Promise<string> {
  const { AggregatorRegistry } = await import('prom-client')
  const families = [
    ...sums.map(sumsFamilies),
    ...instance.processes.map(processGauges),
    instanceGauges(instance),
  ]
  return AggregatorRegistry.aggregate(families).metrics()
}

function sumsFamilies({ process, sums }: ProcessSums): Family[] {
  return SUMMED.map(name => familyOf(name, sums, { process }))
}

function processGauges({ process, pending, apple, store }: ProcessState): Family[] {
  const labels = { process }
  return [
    gaugeFamily('xaps_pending_pushes', pending, labels),
    gaugeFamily('xaps_apple_up', Number(apple.trouble === undefined), labels),
    gaugeFamily('xaps_store_up', store.up === undefined ? undefined : Number(store.up), labels),
  ]
}

function instanceGauges({ processes, spooled, devices }: InstanceState): Family[] {
  return [
    gaugeFamily('xaps_spool_entries', spooled, OF_INSTANCE),
    gaugeFamily('xaps_devices', devices?.devices, OF_INSTANCE),
    gaugeFamily('xaps_certificate_expires_timestamp_seconds', certificateEnd(processes), OF_INSTANCE),
  ]
}

/** The first end among all processes, in seconds since the epoch: one of them may still use an old certificate. */
function certificateEnd(processes: readonly ProcessState[]): number | undefined {
  const ends = processes.flatMap(({ apple }) => apple.certificateEnds ?? [])
  return ends.length === 0 ? undefined : Math.min(...ends) / 1000
}
