/** One vocabulary: what can become of a mail and of a registration has the same names and words in code, metrics, page and docs. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { ALL } from '../../plugins/xaps/config/config.ts'
import { DECISIONS, REGISTRATIONS } from '../../plugins/xaps/observe/decisions.ts'
import { familyOf } from '../../plugins/xaps/observe/families.ts'
import { NO_SUMS } from '../../plugins/xaps/observe/metrics.ts'
import { overviewOf } from '../observe/overviews.ts'
import { servePage } from '../observe/serve-page.ts'
import { startChromium } from '../support/chromium.ts'
import { missing } from '../support/need.ts'
import { owned } from '../support/owned.ts'
import { until } from '../support/wait.ts'

const ROOT = path.join(__dirname, '../../..')
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8')

/** The sources at these places below plugins/xaps, as one text. */
function sources(...places: readonly string[]): string {
  const files = readdirSync(path.join(ROOT, 'plugins/xaps'), { recursive: true, encoding: 'utf8' })
  const ours = files.filter(file => file.endsWith('.ts') && places.some(place => file.startsWith(place)))
  return ours.map(file => read(`plugins/xaps/${file}`)).join('\n')
}

/** First and second column of the rows of a table, from its head on. */
function rowsBelow(head: string, page: string): [name: string, words: string][] {
  const [, table = ''] = page.split(head)
  const [rows = ''] = table.split('\n\n')
  return [...rows.matchAll(/^\| `(\w+)` \| ([^|]*) \|/gm)].map(([, name = '', words = '']) => [name, words])
}

test('docs/operations.md has every decision and every outcome of a registration, in the words of the code', () => {
  const page = read('docs/operations.md')
  assert.deepEqual(rowsBelow('| decision | in words |', page), Object.entries(DECISIONS))
  assert.deepEqual(rowsBelow('| outcome | in words |', page), Object.entries(REGISTRATIONS))
})

test('each is made somewhere: no word of the vocabulary is left over', () => {
  const deciding = sources(
    'push/',
    'intake/',
    'registration/notify',
    'service',
    'serving',
    'observe/observer',
  )
  const registering = sources('registration/accept', 'registration/companion', 'registration/spool')
  for (const name of Object.keys(DECISIONS)) assert.ok(deciding.includes(`'${name}'`), name)
  for (const name of Object.keys(REGISTRATIONS)) assert.ok(registering.includes(`'${name}'`), name)
})

test('each is a value of its label from the start', () => {
  const values = (name: 'xaps_decisions_total' | 'xaps_registrations_total', label: string) =>
    familyOf(name, NO_SUMS).values.map(({ labels, value }) => [labels[label], value])
  const asNone = (names: object) => Object.keys(names).map(name => [name, 0])
  assert.deepEqual(values('xaps_decisions_total', 'decision'), asNone(DECISIONS))
  assert.deepEqual(values('xaps_registrations_total', 'outcome'), asNone(REGISTRATIONS))
})

test('each decision has a place on the status page, and what is not pushed is charted as that', {
  skip: missing('chromium'),
}, async t => {
  const at = Date.UTC(2030, 4, 14)
  // Each a number of its own, by whose sum can be seen which are in it.
  const decisions = Object.fromEntries(Object.keys(DECISIONS).map((name, place) => [name, 2 ** place]))
  const overview = {
    ...overviewOf('nothing yet', at),
    samples: [{ at, decisions, verdicts: {}, pending: 0 }],
  }
  const served = owned(t, await servePage(() => overview))
  const browser = owned(t, await startChromium())
  const page = await browser.newPage()
  await page.open(served.url)
  const rows = () =>
    page.read<string[]>(
      `[...document.querySelectorAll('#decision-rows td, #decision-rows th')].map(cell => cell.textContent)`,
    )
  await until(async () => (await rows()).length > 0, 'the table')
  const shown = await rows()
  for (const words of Object.values(DECISIONS)) assert.ok(shown.includes(words), words)
  const other = await page.read<string>(`document.querySelector('#legend .other').textContent`)
  const notPushed = Object.entries(DECISIONS).filter(([, words]) => words.startsWith('not pushed'))
  const sum = notPushed.reduce((all, [name]) => all + (decisions[name] ?? 0), 0)
  assert.equal(other.replaceAll(',', ''), `${sum} not pushed`)
})

test('each key of xaps.ini is read by a part that works with it', () => {
  const readers = sources(
    'apns',
    'base',
    'cli',
    'delivery',
    'device',
    'haraka',
    'intake',
    'observe',
    'process',
    'push',
    'registration',
    'service',
    'serving',
    'settings',
    'state',
  )
  const config = read('plugins/xaps/config/config.ts').split('} as const')[1] ?? ''
  for (const { section, name } of ALL)
    assert.match(readers + config, new RegExp(`\\b${name}\\b`), `[${section}] ${name}`)
})
