/** The alert rules and the dashboard: what Prometheus' promtool says of them, and that they ask for what there is. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { familyOf, SUMMED } from '../../plugins/xaps/observe/families.ts'
import { COUNTERS, GAUGES, HISTOGRAMS, NO_SUMS } from '../../plugins/xaps/observe/metrics.ts'
import { owned } from '../support/owned.ts'
import { missingPromtool, promtool } from '../support/promtool.ts'
import { tempDirectory } from '../support/temp.ts'

interface Panel {
  readonly id: number
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string }[]
}

const ROOT = path.join(__dirname, '../../..')
const RULES = path.join(ROOT, 'contrib/prometheus/xaps.rules.yml')
const RULES_TEST = path.join(ROOT, 'test/contrib/prometheus/xaps.rules.test.yml')
const rules = readFileSync(RULES, 'utf8')
const dashboard = readFileSync(path.join(ROOT, 'contrib/grafana/xaps.json'), 'utf8')
const { panels }: { readonly panels: readonly Panel[] } = JSON.parse(dashboard)
const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))

const NAMES = Object.keys({ ...COUNTERS, ...HISTOGRAMS, ...GAUGES }).sort()
const skip = missingPromtool()

/** The metrics that are named in a text, those of a histogram without what is added to its name. */
function namesIn(text: string): string[] {
  const names = [...text.matchAll(/\bxaps_[a-z_]+/g)].map(([name]) =>
    name.replace(/_(?:bucket|sum|count)$/, ''),
  )
  return [...new Set(names)].sort()
}

test('promtool finds nothing wrong with the alert rules', { skip }, async () => {
  const checked = await promtool(['check', 'rules', '--lint=all', '--lint-fatal', RULES])
  assert.equal(checked.status, 0, `${checked.stdout}${checked.stderr}`)
})

test('each alert fires when it must, and only then', { skip }, async () => {
  const tested = await promtool(['test', 'rules', RULES_TEST])
  assert.equal(tested.status, 0, `${tested.stdout}${tested.stderr}`)
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name)
  const expected = readFileSync(RULES_TEST, 'utf8')
  assert.deepEqual(
    alerts.filter(name => !expected.includes(`alertname="${name}"`)),
    [],
  )
})

test('the dashboard’s queries are queries', { skip }, async t => {
  const temp = owned(t, tempDirectory())
  const file = path.join(temp.path, 'queries.yml')
  const known = (query: string) => query.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*')
  const recorded = queries.map((query, index) => ({ record: `query:${index}`, expr: known(query) }))
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: recorded }] }))
  const checked = await promtool(['check', 'rules', '--lint=none', file])
  assert.equal(checked.status, 0, `${checked.stdout}${checked.stderr}`)
})

test('rules and dashboard name metrics that there are, and the dashboard all of them', () => {
  assert.deepEqual(
    namesIn(rules).filter(name => !NAMES.includes(name)),
    [],
  )
  assert.deepEqual(namesIn(queries.join('\n')), NAMES)
})

test('they name values of labels that there are', () => {
  const values = SUMMED.flatMap(name =>
    familyOf(name, NO_SUMS).values.flatMap(({ labels }) => Object.values(labels)),
  )
  const asked = [...`${rules}\n${queries.join('\n')}`.matchAll(/(?:decision|verdict|outcome)=~?"([^"]+)"/g)]
  const named = asked.flatMap(([, alternatives = '']) => alternatives.split('|'))
  assert.ok(named.length > 0)
  assert.deepEqual(
    named.filter(value => !values.includes(value)),
    [],
  )
})

test('no panel lies upon another or beyond the width', () => {
  const cells = panels.flatMap(({ id, gridPos: { x, y, w, h } }) => {
    assert.ok(x + w <= 24, `panel ${id}`)
    return Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`)
  })
  assert.equal(new Set(cells).size, cells.length)
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
})

test('docs/operations.md has a row for each metric', () => {
  const rows = readFileSync(path.join(ROOT, 'docs/operations.md'), 'utf8').matchAll(/^\| `(xaps_\w+)/gm)
  assert.deepEqual([...rows].map(([, name]) => name).sort(), NAMES)
})
