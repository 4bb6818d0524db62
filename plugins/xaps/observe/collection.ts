/**
 * All processes of an instance, in its companion: its own observations, and what the others report. Keeps the last decision of
 * each user, and samples of the last quarter of an hour.
 */

import type { Clock, Timer } from '../base/clock.ts'
import { TtlCache } from '../base/ttl-cache.ts'
import type { DeviceCounts } from '../device/counts.ts'
import { exposition } from './exposition.ts'
import { healthOf } from './health.ts'
import { add, HISTOGRAMS, NO_SUMS, type Sums } from './metrics.ts'
import type { Answered, Overview, ProcessState, Sample } from './overview.ts'
import type { Decided, Report } from './report.ts'

/** A process that has not reported for so long is gone, or hangs. */
const GONE_AFTER_MS = 10_000

export const SAMPLE_EVERY_MS = 5_000
const SAMPLES = 180

/** Users whose last decision is known, and for how long. */
const MOST_USERS = 10_000
const KEPT_MS = 86_400_000

export interface CollectionParts {
  /** Of this process, with all that it has decided since it was asked last. */
  readonly own: () => Report
  readonly spooled: () => number
  readonly devices: () => DeviceCounts | undefined
  /** Events of Dovecot's exporter since the start. */
  readonly events: () => number
  /** Whether workers of Haraka's report to this process. */
  readonly inHaraka: boolean
  readonly version: string
  /** The digest of the configuration in use. */
  readonly configuration: () => string
}

export class Collection {
  readonly #parts: CollectionParts
  readonly #clock: Clock
  /** The last report of each process, by name. */
  readonly #reports = new Map<string, Report>()
  readonly #lastDecided: TtlCache<Decided>
  readonly #samples: Sample[] = []
  readonly #startedAt: number
  #before: Sums = NO_SUMS
  #timer: Timer | undefined

  constructor(parts: CollectionParts, clock: Clock) {
    this.#parts = parts
    this.#clock = clock
    this.#lastDecided = new TtlCache(MOST_USERS, clock)
    this.#startedAt = clock.now()
    this.#sampleLater()
  }

  /** Reports of other processes of the instance. */
  hear(reports: readonly Report[]): void {
    for (const report of reports) {
      // What a process did before this one was here belongs to no sample.
      if (!this.#reports.has(report.process) && report.startedAt < this.#startedAt)
        this.#before = add(this.#before, report.sums)
      this.#keep(report)
    }
  }

  #keep(report: Report): void {
    this.#reports.set(report.process, report)
    for (const decided of report.decided) this.#lastDecided.set(decided.user, decided, KEPT_MS)
  }

  /** All that is known, and the last decision on a mail of `user` (canonical), if one is known. */
  answer(user: string | undefined): Answered {
    const overview = this.overview()
    const last = user === undefined ? undefined : this.#lastDecided.get(user)
    return last ? { overview, last } : { overview }
  }

  /** The last report of each process, of those too that are gone: their sums stay. */
  reports(): readonly Report[] {
    this.#hearOurselves()
    return [...this.#reports.values()]
  }

  overview(): Overview {
    const reports = this.reports()
    const at = this.#clock.now()
    const processes = reports.filter(report => this.#isHere(report)).map(stateOf)
    const { spooled, devices, events, inHaraka, version, configuration } = this.#parts
    const counts = devices()
    const facts = { at, processes, spooled: spooled(), ...(counts === undefined ? {} : { devices: counts }) }
    const expected = inHaraka && at - this.#startedAt > GONE_AFTER_MS
    return {
      ...facts,
      version,
      configuration: configuration(),
      events: events(),
      health: healthOf(facts, expected),
      sums: sumsOf(reports),
      samples: [...this.#samples],
    }
  }

  /** In Prometheus' text format. */
  metrics(): Promise<string> {
    return exposition(this.reports(), this.overview())
  }

  close(): void {
    this.#timer?.cancel()
  }

  #hearOurselves(): void {
    this.#keep(this.#parts.own())
  }

  #isHere({ at }: Report): boolean {
    // Of a time to come are those from before a clock was set back.
    return Math.abs(this.#clock.now() - at) < GONE_AFTER_MS
  }

  #sampleLater(): void {
    this.#timer = this.#clock.after(SAMPLE_EVERY_MS, () => {
      this.#sample()
      this.#sampleLater()
    })
  }

  #sample(): void {
    const reports = this.reports()
    const sums = sumsOf(reports)
    const pending = reports
      .filter(report => this.#isHere(report))
      .reduce((sum, report) => sum + report.pending, 0)
    this.#samples.push(sampleOf(this.#before, sums, this.#clock.now(), pending))
    if (this.#samples.length > SAMPLES) this.#samples.shift()
    this.#before = sums
  }
}

function stateOf({ process, pid, startedAt, pending, apple, store }: Report): ProcessState {
  return { process, pid, startedAt, pending, apple, store }
}

function sumsOf(reports: readonly Report[]): Sums {
  return reports.reduce((sum, report) => add(sum, report.sums), NO_SUMS)
}

/** What came between two sums. */
function sampleOf(before: Sums, after: Sums, at: number, pending: number): Sample {
  const more = (name: string): Record<string, number> => {
    const known = before.counters[name] ?? {}
    const grown = Object.entries(after.counters[name] ?? {}).map(
      ([label, count]) => [label, count - (known[label] ?? 0)] as const,
    )
    return Object.fromEntries(grown.filter(([, count]) => count > 0))
  }
  const counts = delays(after).map((count, bucket) => count - (delays(before)[bucket] ?? 0))
  return {
    at,
    decisions: more('xaps_decisions_total'),
    verdicts: more('xaps_pushes_total'),
    ...quantiles(counts),
    pending,
  }
}

function delays({ histograms }: Sums): readonly number[] {
  return histograms.xaps_delivery_to_apple_seconds?.['']?.counts ?? []
}

function quantiles(counts: readonly number[]): { readonly p50?: number; readonly p99?: number } {
  const all = counts.reduce((sum, count) => sum + count, 0)
  return all === 0 ? {} : { p50: quantile(counts, all * 0.5), p99: quantile(counts, all * 0.99) }
}

/** As Prometheus' histogram_quantile: linear within a bucket; beyond the last bound, that bound. */
function quantile(counts: readonly number[], rank: number): number {
  const { buckets = [] } = HISTOGRAMS.xaps_delivery_to_apple_seconds
  let below = 0
  for (const [index, upper] of buckets.entries()) {
    const count = counts[index] ?? 0
    const lower = buckets[index - 1] ?? 0
    if (below + count >= rank) return lower + ((upper - lower) * (rank - below)) / count
    below += count
  }
  return buckets.at(-1) ?? 0
}
