/**
 * What is counted and measured, as plain data: a process adds up its own, and passes it on as it is. What shows them to
 * Prometheus is exposition.ts. No label holds a user, a token or an account id.
 */

interface Definition {
  readonly help: string
  /** Absent for none. */
  readonly label?: string
  /** Upper bounds, of a histogram: seconds. */
  readonly buckets?: readonly number[]
}

const FAST = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
const SLOW = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600]

const define = <Name extends string>(table: Record<Name, Definition>): Readonly<Record<Name, Definition>> =>
  table

export const COUNTERS = define({
  xaps_pushes_total: { help: "Pushes by Apple's verdict", label: 'verdict' },
  xaps_decisions_total: { help: 'Mails and notifications by what became of them', label: 'decision' },
  xaps_registrations_total: { help: 'Registrations by what became of them', label: 'outcome' },
})

export const HISTOGRAMS = define({
  xaps_push_duration_seconds: { help: "From a push's start to Apple's answer", buckets: SLOW },
  xaps_delivery_to_apple_seconds: { help: 'From a mail to the start of the push for it', buckets: SLOW },
  xaps_store_operation_seconds: {
    help: 'Operations of the device store',
    label: 'operation',
    buckets: FAST,
  },
})

export const GAUGES = define({
  xaps_devices: { help: 'Registered devices, counted by the hour' },
  xaps_pending_pushes: { help: 'Devices that wait for a push' },
  xaps_store_up: { help: 'Whether the last operation of the device store succeeded' },
  xaps_apple_up: { help: 'Whether pushes may go to Apple: the circuit breaker is closed' },
  xaps_spool_entries: { help: 'Registrations that wait for the device store' },
  xaps_certificate_expires_timestamp_seconds: {
    help: "End of the certificate for Apple; absent for a provider token's key",
  },
})

export type Counter = keyof typeof COUNTERS
export type Histogram = keyof typeof HISTOGRAMS
export type Gauge = keyof typeof GAUGES

/** How many were in each bucket, the last of which is beyond all bounds, and the sum of all, in seconds. */
export interface Distribution {
  readonly counts: readonly number[]
  readonly sum: number
}

/** By name, then by the label's value: '' where there is none. Plain data. */
export interface Sums {
  readonly counters: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly histograms: Readonly<Record<string, Readonly<Record<string, Distribution>>>>
}

export const NO_SUMS: Sums = { counters: {}, histograms: {} }

/** The sums of one process. */
export class Metrics {
  readonly #counters = tableOf<Counter, number>(COUNTERS)
  readonly #histograms = tableOf<Histogram, { counts: number[]; sum: number }>(HISTOGRAMS)

  /** Adds `by` to a counter. */
  count(name: Counter, label = '', by = 1): void {
    const row = this.#counters[name]
    row[label] = (row[label] ?? 0) + by
  }

  /** Adds one measured time to a histogram. */
  observe(name: Histogram, ms: number, label = ''): void {
    const { buckets = [] } = HISTOGRAMS[name]
    const row = this.#histograms[name]
    row[label] ??= { counts: new Array(buckets.length + 1).fill(0), sum: 0 }
    const distribution = row[label]
    // A clock that was set back measures less than nothing.
    const seconds = Math.max(0, ms) / 1000
    let bucket = 0
    while (bucket < buckets.length && seconds > (buckets[bucket] as number)) bucket += 1
    distribution.counts[bucket] = (distribution.counts[bucket] ?? 0) + 1
    distribution.sum += seconds
  }

  /** What it has come to so far; changes with what comes, so it is to be copied or sent. */
  get sums(): Sums {
    return { counters: this.#counters, histograms: this.#histograms }
  }
}

function tableOf<Name extends string, Value>(
  names: Readonly<Record<Name, unknown>>,
): Record<Name, Record<string, Value>> {
  return Object.fromEntries(Object.keys(names).map(name => [name, {}])) as Record<Name, Record<string, Value>>
}

/** Both together, as new data. */
export function add(a: Sums, b: Sums): Sums {
  const counted = (x: number, y = 0) => x + y
  return {
    counters: joined(a.counters, b.counters, (x, y = {}) => joined(x, y, counted)),
    histograms: joined(a.histograms, b.histograms, (x, y = {}) => joined(x, y, addDistributions)),
  }
}

function addDistributions(a: Distribution, b: Distribution = { counts: [], sum: 0 }): Distribution {
  return { counts: a.counts.map((count, index) => count + (b.counts[index] ?? 0)), sum: a.sum + b.sum }
}

/** `both` makes a copy of a value that has no other. */
function joined<V>(
  a: Readonly<Record<string, V>>,
  b: Readonly<Record<string, V>>,
  both: (a: V, b?: V) => V,
): Record<string, V> {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  const one = (key: string): V => (key in a ? both(a[key] as V, b[key]) : both(b[key] as V))
  return Object.fromEntries([...keys].map(key => [key, one(key)]))
}
