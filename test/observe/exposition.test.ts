/** What Prometheus gets of all processes, read by Prometheus' promtool. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DECISIONS, REGISTRATIONS } from '../../plugins/xaps/observe/decisions.ts'
import {
  EXPOSITION_TYPE,
  exposition,
  type InstanceState,
  type ProcessSums,
} from '../../plugins/xaps/observe/exposition.ts'
import { COUNTERS, GAUGES, HISTOGRAMS, Metrics, NO_SUMS } from '../../plugins/xaps/observe/metrics.ts'
import type { ProcessState } from '../../plugins/xaps/observe/overview.ts'
import { faultsOf, missingPromtool, valuesIn } from '../support/promtool.ts'

const NOTHING: InstanceState = { processes: [], spooled: 0 }

function stateOf(process: string, parts: Partial<ProcessState> = {}): ProcessState {
  return { process, pid: 1, startedAt: 0, pending: 0, apple: {}, store: {}, ...parts }
}

/** A worker and the companion have something to tell, and all is known of the instance; worker2 is gone. */
function busyInstance(): [readonly ProcessSums[], InstanceState] {
  const worker = new Metrics()
  worker.count('xaps_pushes_total', 'sent', 3)
  worker.count('xaps_decisions_total', 'pushed', 2)
  for (const ms of [4, 40, 40, 7_200_000]) worker.observe('xaps_push_duration_seconds', ms)
  worker.observe('xaps_store_operation_seconds', 0.2, 'devices')
  const companion = new Metrics()
  companion.count('xaps_pushes_total', 'sent')
  companion.count('xaps_registrations_total', 'saved', 5)
  const sums = [
    { process: 'worker1', sums: worker.sums },
    { process: 'worker2', sums: worker.sums },
    { process: 'companion', sums: companion.sums },
  ]
  const processes = [
    stateOf('worker1', {
      pending: 4,
      apple: { trouble: 'connection', troubleSince: 1, certificateEnds: 1_900_000_000_000 },
      store: { up: true },
    }),
    stateOf('companion', {
      apple: { certificateEnds: 1_800_000_000_000 },
      store: { up: false, failure: 'ECONNREFUSED' },
    }),
  ]
  const lastSeen = { day: 7, twoDays: 0, week: 0, longer: 0 }
  const devices = { countedAt: 0, users: 5, devices: 7, lastSeen, otherTopic: 0 }
  return [sums, { processes, spooled: 6, devices }]
}

/** A process that has just started, and nothing else. */
const STARTED = [
  [{ process: 'worker1', sums: NO_SUMS }],
  { processes: [stateOf('worker1')], spooled: 0 },
] as const

test('prom-client is loaded by the first exposition, not before', async () => {
  const isLoaded = () => Object.keys(require.cache).some(file => file.includes('/prom-client/'))
  assert.equal(isLoaded(), false)
  await exposition([], NOTHING)
  assert.equal(isLoaded(), true)
})

test('promtool finds no fault, whether processes have something to tell or not', {
  skip: missingPromtool(),
}, async () => {
  assert.equal(await faultsOf(await exposition(...busyInstance())), '')
  assert.equal(await faultsOf(await exposition(...STARTED)), '')
  assert.equal(await faultsOf(await exposition([], NOTHING)), '')
  assert.match(await faultsOf('xaps devices 1\n'), /exit status/)
})

test('the media type is the one that prom-client has for its text', async () => {
  const { prometheusContentType } = await import('prom-client')
  assert.equal(EXPOSITION_TYPE, prometheusContentType)
})

test('each process has values of its own; what is the instance’s is the companion’s', async () => {
  const values = valuesIn(await exposition(...busyInstance()))
  const told = {
    'xaps_pushes_total{process="worker1",verdict="sent"}': 3,
    'xaps_pushes_total{process="companion",verdict="sent"}': 1,
    'xaps_decisions_total{process="worker1",decision="pushed"}': 2,
    'xaps_registrations_total{process="companion",outcome="saved"}': 5,
    'xaps_pushes_total{process="worker2",verdict="sent"}': 3,
    'xaps_pending_pushes{process="worker1"}': 4,
    'xaps_apple_up{process="worker1"}': 0,
    'xaps_apple_up{process="companion"}': 1,
    'xaps_store_up{process="worker1"}': 1,
    'xaps_store_up{process="companion"}': 0,
    'xaps_spool_entries{process="companion"}': 6,
    'xaps_devices{process="companion"}': 7,
    'xaps_certificate_expires_timestamp_seconds{process="companion"}': 1_800_000_000,
  }
  for (const [name, value] of Object.entries(told)) assert.equal(values.get(name), value, name)
  const named = [...values.keys()].filter(name => /\{process="(?:worker[12]|companion)"[,}]/.test(name))
  assert.equal(named.length, values.size)
  assert.equal(values.get('xaps_apple_up{process="worker2"}'), undefined, 'of a process that is gone')
})

test('a histogram counts up to its last bucket, with sum and count', async () => {
  const values = valuesIn(await exposition(...busyInstance()))
  const push = (name: string, le = '') =>
    values.get(`xaps_push_duration_seconds_${name}{process="worker1"${le && `,le="${le}"`}}`)
  assert.deepEqual(
    ['0.005', '0.025', '0.05', '3600', '+Inf'].map(le => push('bucket', le)),
    [1, 1, 3, 3, 4],
  )
  assert.deepEqual([push('count'), Math.round(push('sum') ?? 0)], [4, 7200])
  const lookups = 'xaps_store_operation_seconds_bucket{process="worker1",operation="devices",le='
  assert.deepEqual([values.get(`${lookups}"0.0001"}`), values.get(`${lookups}"0.00025"}`)], [0, 1])
})

test('every value of a label that is known is there from the start, as 0', async () => {
  const values = valuesIn(await exposition(...STARTED))
  const expected = [
    ...Object.keys(DECISIONS).map(key => `xaps_decisions_total{process="worker1",decision="${key}"}`),
    ...Object.keys(REGISTRATIONS).map(key => `xaps_registrations_total{process="worker1",outcome="${key}"}`),
    ...['sent', 'gone', 'refused setup', 'broken connection'].map(
      key => `xaps_pushes_total{process="worker1",verdict="${key}"}`,
    ),
    'xaps_push_duration_seconds_count{process="worker1"}',
    'xaps_delivery_to_apple_seconds_count{process="worker1"}',
  ]
  for (const name of expected) assert.equal(values.get(name), 0, name)
})

test('what is not known has no value, and every metric has its help', async () => {
  const text = await exposition(...STARTED)
  const names = [...valuesIn(text).keys()].filter(name => /_up|_devices|certificate/.test(name))
  assert.deepEqual(names, ['xaps_apple_up{process="worker1"}'])
  for (const [name, { help }] of Object.entries({ ...COUNTERS, ...HISTOGRAMS, ...GAUGES }))
    assert.ok(text.includes(`# HELP ${name} ${help}\n`), name)
})
