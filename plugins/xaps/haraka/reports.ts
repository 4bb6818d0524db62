/**
 * What Haraka's processes report of themselves, on its way to the companion: workers tell the primary over the cluster's
 * channel, and the primary passes it on. A worker that is started again takes over the place and the sums of the one that has
 * ended, so a sum never falls.
 */

import cluster from 'node:cluster'
import { type Clock, systemClock } from '../base/clock.ts'
import { add, NO_SUMS, type Sums } from '../observe/metrics.ts'
import { type Decided, MOST_DECIDED, type Report } from '../observe/report.ts'
import { isEvent, REPORT } from '../process/message.ts'
import type { LocalReport } from '../service.ts'

const REPORT_EVERY_MS = 2_000

/** In a worker: tells the primary regularly what `report` gives, from when on it gives something. */
export function reportToPrimary(report: () => LocalReport | undefined, clock: Clock = systemClock): void {
  const tell = () => {
    const latest = report()
    // A primary that is gone takes the worker along.
    if (latest) process.send?.({ event: REPORT, report: latest }, undefined, undefined, () => undefined)
    clock.after(REPORT_EVERY_MS, tell)
  }
  clock.after(REPORT_EVERY_MS, tell)
}

interface Place {
  readonly name: string
  /** The id of the worker that has it. */
  worker: number | undefined
  /** Of the workers that had it before. */
  ended: Sums
  last: LocalReport | undefined
}

/** In the primary. */
export class Reports {
  readonly #places: Place[] = []
  /** What no companion has been told yet. */
  #decided: Decided[] = []

  /** Listens to the workers from now on. */
  constructor() {
    cluster.on('message', ({ id }, message) => {
      if (isEvent(message, REPORT)) this.hear(id, (message as { report?: unknown }).report)
    })
    cluster.on('exit', ({ id }) => this.ended(id))
  }

  /** The worker of this id reports. What is no report is ignored: the worker may be of another version, or in other hands. */
  hear(id: number, report: unknown): void {
    if (!isReport(report)) return
    this.#placeOf(id).last = { ...report, decided: [] }
    this.#decided = [...this.#decided, ...report.decided].slice(-MOST_DECIDED)
  }

  /** The worker of this id has ended. */
  ended(id: number): void {
    const place = this.#places.find(({ worker }) => worker === id)
    if (!place) return
    place.worker = undefined
    place.ended = add(place.ended, place.last?.sums ?? NO_SUMS)
    if (place.last) place.last = { ...place.last, sums: NO_SUMS }
  }

  /** The last report of each place, and of the decisions those that have not been taken before. */
  take(): readonly Report[] {
    const decided = this.#decided
    this.#decided = []
    return this.#places.flatMap(({ name, ended, last }, index) =>
      last
        ? [{ ...last, process: name, sums: add(ended, last.sums), decided: index === 0 ? decided : [] }]
        : [],
    )
  }

  #placeOf(id: number): Place {
    const known =
      this.#places.find(({ worker }) => worker === id) ??
      this.#places.find(({ worker }) => worker === undefined)
    if (known) {
      known.worker = id
      return known
    }
    const place = { name: `worker${this.#places.length + 1}`, worker: id, ended: NO_SUMS, last: undefined }
    this.#places.push(place)
    return place
  }
}

function isReport(value: unknown): value is LocalReport {
  const { sums, decided } = (value ?? {}) as Partial<LocalReport>
  return Array.isArray(decided) && isTable(sums?.counters) && isTable(sums?.histograms)
}

function isTable(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && Object.values(value).every(row => row instanceof Object)
  )
}
