/**
 * Sums and states as prom-client takes them: a family has a name, a type and a value per set of labels. Plain data, the same in
 * prom-client 14 and 15, and made without loading either.
 */

import type { VerdictKind } from '../apns/verdict.ts'
import { DECISIONS, REGISTRATIONS } from './decisions.ts'
import {
  COUNTERS,
  type Counter,
  type Distribution,
  GAUGES,
  type Gauge,
  HISTOGRAMS,
  type Histogram,
  type Sums,
} from './metrics.ts'

export type Labels = Readonly<Record<string, string | number>>

/** A counter counts events; a histogram's values are cumulative by `le`, and it has a sum, in seconds, and a count. */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'histogram' | 'gauge'
  /** What prom-client does with equal labels of several families of one name. */
  readonly aggregator: 'sum'
  readonly values: readonly FamilyValue[]
}

interface FamilyValue {
  readonly value: number
  readonly labels: Labels
  /** Where it is not the family's. */
  readonly metricName?: string
}

const VERDICTS: Readonly<Record<VerdictKind, true>> = {
  sent: true,
  gone: true,
  'refused token': true,
  'refused device': true,
  'refused setup': true,
  'later device': true,
  'later push': true,
  'later all': true,
  'broken stream': true,
  'broken connection': true,
}

/** Values of a label that are shown from the start, as 0: rate() and increase() do not see how a series begins. */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  verdict: Object.keys(VERDICTS),
  decision: Object.keys(DECISIONS),
  outcome: Object.keys(REGISTRATIONS),
}

export const SUMMED = [...Object.keys(COUNTERS), ...Object.keys(HISTOGRAMS)] as readonly (
  | Counter
  | Histogram
)[]

/** One counter or histogram of one process. Each value has `labels` too. */
export function familyOf(name: Counter | Histogram, sums: Sums, labels: Labels = {}): Family {
  return name in COUNTERS
    ? counterFamily(name as Counter, sums, labels)
    : histogramFamily(name as Histogram, sums, labels)
}

function counterFamily(name: Counter, sums: Sums, labels: Labels): Family {
  const { help, label } = COUNTERS[name]
  const values = withKnown(label, sums.counters[name] ?? {}, 0).map(([key, value]) => ({
    value,
    labels: labelled(label, key, labels),
  }))
  return { name, help, type: 'counter', aggregator: 'sum', values }
}

function histogramFamily(name: Histogram, sums: Sums, labels: Labels): Family {
  const { help, label, buckets = [] } = HISTOGRAMS[name]
  const empty: Distribution = { counts: [], sum: 0 }
  const values = withKnown(label, sums.histograms[name] ?? {}, empty).flatMap(([key, distribution]) =>
    distributionValues(name, distribution, buckets, labelled(label, key, labels)),
  )
  return { name, help, type: 'histogram', aggregator: 'sum', values }
}

function distributionValues(
  name: string,
  { counts, sum }: Distribution,
  buckets: readonly number[],
  labels: Labels,
): FamilyValue[] {
  let count = 0
  const values = [...buckets, '+Inf'].map((le, index) => {
    count += counts[index] ?? 0
    return { metricName: `${name}_bucket`, value: count, labels: { ...labels, le } }
  })
  return [
    ...values,
    { metricName: `${name}_sum`, value: sum, labels },
    { metricName: `${name}_count`, value: count, labels },
  ]
}

/** The entries of `row`, and `none` for each known value of the label that it has not. Without a label there is one: ''. */
function withKnown<V>(
  label: string | undefined,
  row: Readonly<Record<string, V>>,
  none: V,
): [key: string, value: V][] {
  const known = label === undefined ? [''] : (KNOWN[label] ?? [])
  return Object.entries({ ...Object.fromEntries(known.map(key => [key, none])), ...row })
}

function labelled(label: string | undefined, key: string, labels: Labels): Labels {
  return label === undefined ? labels : { ...labels, [label]: key }
}

/** A gauge with one value; without one where `value` is undefined, since it is not known. */
export function gaugeFamily(name: Gauge, value: number | undefined, labels: Labels): Family {
  const values = value === undefined ? [] : [{ value, labels }]
  return { name, help: GAUGES[name].help, type: 'gauge', aggregator: 'sum', values }
}
