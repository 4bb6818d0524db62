/** A process' sums beside the metrics of other plugins, in the prom-client that those have brought: the real 14 and 15, and a real Haraka. */

import assert from 'node:assert/strict'
import path from 'node:path'
import { beforeEach, test } from 'node:test'
import { shareSums } from '../../plugins/xaps/haraka/prometheus.ts'
import { Metrics, NO_SUMS } from '../../plugins/xaps/observe/metrics.ts'
import { startHaraka } from '../support/haraka.ts'
import { owned } from '../support/owned.ts'
import { faultsOf, missingPromtool, valuesIn } from '../support/promtool.ts'
import { recordedLog } from '../support/recorded-log.ts'
import { freePort } from '../support/server.ts'

/** What is used of both. */
interface PromClient {
  readonly register: {
    metrics(): Promise<string>
    getMetricsAsJSON(): Promise<unknown>
    resetMetrics(): void
    clear(): void
    registerMetric(metric: object): void
    setContentType?(type: string): void
    readonly contentType: string
  }
  readonly openMetricsContentType: string
  readonly Counter: new (options: { name: string; help: string }) => { inc(): void }
}

const clients: Readonly<Record<string, PromClient>> = {
  14: require('prom-client-14'),
  15: require('prom-client'),
}
const SENT = 'xaps_pushes_total{verdict="sent"}'

beforeEach(() => {
  for (const { register } of Object.values(clients)) register.clear()
})

for (const [version, { register, Counter }] of Object.entries(clients)) {
  test(`prom-client ${version} shows the sums as they are at each scrape, beside what was there`, {
    skip: missingPromtool(),
  }, async () => {
    new Counter({ name: 'other_total', help: 'Of another plugin' }).inc()
    const metrics = new Metrics()
    shareSums(() => metrics.sums, recordedLog())
    assert.equal(valuesIn(await register.metrics()).get(SENT), 0)
    metrics.count('xaps_pushes_total', 'sent', 2)
    metrics.observe('xaps_push_duration_seconds', 40)
    const values = valuesIn(await register.metrics())
    const duration = 'xaps_push_duration_seconds'
    assert.deepEqual(
      [SENT, `${duration}_count`, `${duration}_bucket{le="0.05"}`, 'other_total'].map(name =>
        values.get(name),
      ),
      [2, 1, 1, 1],
    )
    assert.equal(await faultsOf(await register.metrics()), '')
  })

  test(`prom-client ${version}: a second registration takes the first one’s place, and a reset changes nothing`, async () => {
    const log = recordedLog()
    shareSums(() => NO_SUMS, log)
    const metrics = new Metrics()
    shareSums(() => metrics.sums, log)
    metrics.count('xaps_pushes_total', 'sent')
    register.resetMetrics()
    assert.equal(valuesIn(await register.metrics()).get(SENT), 1)
    assert.deepEqual(log.lines, [])
  })
}

test('OpenMetrics and plain data, for a cluster, have the same names', async t => {
  const { register, openMetricsContentType } = clients[15] as PromClient
  const before = register.contentType
  t.after(() => register.setContentType?.(before))
  register.setContentType?.(openMetricsContentType)
  const metrics = new Metrics()
  metrics.count('xaps_pushes_total', 'sent', 2)
  shareSums(() => metrics.sums, recordedLog())
  for (const scrape of ['first', 'second'])
    assert.equal(valuesIn(await register.metrics()).get(SENT), 2, scrape)
  assert.match(JSON.stringify(await register.getMetricsAsJSON()), /"verdict":"sent"/)
})

test('a registry that throws costs a line in the log, and no other registry', async t => {
  const [broken, whole] = [clients[14]?.register, clients[15]?.register]
  assert.ok(broken && whole)
  const { registerMetric } = broken
  t.after(() => {
    broken.registerMetric = registerMetric
  })
  broken.registerMetric = () => {
    throw new Error('no more metrics')
  }
  const log = recordedLog()
  shareSums(() => NO_SUMS, log)
  assert.deepEqual(log.loud(), [
    'warn: Prometheus metrics cannot be shown by haraka-plugin-prometheus cause="no more metrics"',
  ])
  assert.equal(valuesIn(await whole.metrics()).get(SENT), 0)
})

test('in a real Haraka a plugin that serves its prom-client’s registry shows them, loaded after ours', async t => {
  const port = await freePort()
  const dist = path.resolve(__dirname, '../..')
  const config = {
    'ours.js': `
      const { shareSums } = require('${dist}/plugins/xaps/haraka/prometheus.js')
      const sums = { counters: { xaps_pushes_total: { sent: 3 } }, histograms: {} }
      exports.hook_init_master = (next) => { next(); shareSums(() => sums, {}) }`,
    'theirs.js': `
      const { register } = require('${require.resolve('prom-client-14')}')
      exports.hook_init_master = function (next) {
        const answer = async (_, response) => response.end(await register.metrics())
        require('node:http').createServer(answer).listen(${port}, '127.0.0.1', () => this.lognotice('metrics served'))
        next()
      }`,
  }
  const haraka = owned(t, await startHaraka({ plugins: ['../config/ours', '../config/theirs'], config }))
  await haraka.waitForLog(/metrics served/)
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`)
  assert.equal(valuesIn(await answer.text()).get(SENT), 3)
})
