/** The status page in a real browser: what it shows, that it stays live, and that a keyboard and a screen reader get along. */

import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import type { Overview } from '../../plugins/xaps/observe/overview.ts'
import { heldClock } from '../registration/tools.ts'
import { type Browser, type Page, startChromium } from '../support/chromium.ts'
import { missing } from '../support/need.ts'
import { until } from '../support/wait.ts'
import { ALL_DAYS, overviewOf } from './overviews.ts'
import { type ServedPage, servePage } from './serve-page.ts'

const skip = missing('chromium')
const WORKS = 'Push works: Apple accepted the last push 40 s ago'
const AT = Date.UTC(2030, 4, 14, 14, 32, 5)

let browser: Browser
before(async () => {
  if (skip === false) browser = await startChromium()
})
after(() => browser?.close())

interface Shown {
  readonly page: Page
  readonly served: ServedPage
  readonly clock: ReturnType<typeof heldClock>
  /** The text of an element. */
  text(selector: string): Promise<string>
  /** How many elements there are. */
  count(selector: string): Promise<number>
}

/** The page in a tab of its own, with the overview in it. `script` runs before those of the page. */
async function show(t: TestContext, overview: Overview, { width = 1120, script = '' } = {}): Promise<Shown> {
  const clock = heldClock(AT)
  const served = await servePage(() => overview, { clock })
  const page = await browser.newPage({ width, height: 900 })
  t.after(async () => {
    await page.close()
    await served.close()
  })
  await page.send('Emulation.setTimezoneOverride', { timezoneId: 'UTC' })
  await page.send('Page.addScriptToEvaluateOnNewDocument', { source: script })
  await page.open(served.url)
  const shown: Shown = {
    page,
    served,
    clock,
    text: selector => page.read(`document.querySelector('${selector}').innerText`),
    count: selector => page.read(`document.querySelectorAll('${selector}').length`),
  }
  await until(async () => (await shown.text('#live')) === 'live', 'the page to be live')
  return shown
}

test('the health sentence, what is charted, and the tables are those of the overview', { skip }, async t => {
  const { page, text, count } = await show(t, overviewOf('Apple away', AT))
  assert.equal(
    await text('h1'),
    'Apple cannot be reached; pushes wait: connect ETIMEDOUT api.push.apple.com:443',
  )
  assert.match(
    await text('#health'),
    /^Down\n[\s\S]*Since .*, 4 minutes now\.\s+What to do: is port 443 .* open\? xaps check tells/,
  )
  assert.equal(await page.read('document.title'), 'Down · xaps')
  assert.match(await text('#facts'), /Apple\nnot reached[\s\S]*212 days[\s\S]*Waiting\n183/)
  assert.ok((await count('#decisions rect.pushed')) > 40)
  assert.ok((await count('#decisions rect.held')) > 2)
  assert.equal(await count('#times path'), 2)
  const decisions = await page.read<string>(`document.querySelector('#decision-rows').textContent`)
  assert.match(decisions, /waits for Apple, which cannot be reached or asks to wait38/)
  const rows = await page.read<string[][]>(
    `[...document.querySelectorAll('.wide tr')].map(row => [...row.cells].map(cell => cell.innerText))`,
  )
  assert.deepEqual(
    rows.map(([process]) => process),
    ['Process', 'worker1', 'worker2', 'companion'],
  )
  const [head = [], worker = []] = rows
  assert.deepEqual(Object.fromEntries(head.map((name, place) => [name, worker[place]])), {
    Process: 'worker1',
    Apple: 'not reached',
    Store: 'answers',
    Waiting: '61',
    'Last success': '4 minutes ago',
    'Last error': '2 seconds ago\nconnect ETIMEDOUT api.push.apple.com:443',
    'Up since': '5 May 2030, 14:32',
    pid: '3417',
  })
  assert.match(await text('#seen-rows'), /^within a day\t1,529/)
  assert.deepEqual(page.complaints, [])
})

for (const day of ALL_DAYS)
  test(`a day of the kind "${day}" is told without a gap, also on a narrow screen`, { skip }, async t => {
    const { page, served, text } = await show(t, overviewOf(day, AT), { width: 340 })
    const labels = `[...document.querySelectorAll('svg')].map(svg => svg.getAttribute('aria-label')).join()`
    const all = `${await text('body')} ${await page.read(labels)} ${await page.read('document.body.innerHTML')}`
    assert.doesNotMatch(all, /undefined|NaN|Infinity|null|\[object|Invalid/)
    assert.equal(await page.read('document.documentElement.scrollWidth <= innerWidth'), true)
    assert.equal(
      await page.read(`performance.getEntries().every(({ name, entryType }) =>
      entryType !== 'resource' || name.startsWith('${served.url}'))`),
      true,
    )
    assert.deepEqual(page.complaints, [])
  })

test('it is live, says since when it is not, and is again when the companion is back', { skip }, async t => {
  const { page, served, clock, text } = await show(t, overviewOf('nothing yet', AT))
  served.overview = () => overviewOf('one push', AT)
  await clock.advance(5_000)
  await until(async () => (await text('h1')) === WORKS, 'the next overview')
  await served.close()
  await until(
    async () => /^not live since \d\d:\d\d:\d\d; /.test(await text('#live')),
    'the break to be told',
  )
  assert.equal(await text('h1'), 'The companion does not answer')
  assert.equal(await page.read('document.title'), 'Not known · xaps')
  const again = await servePage(() => overviewOf('Apple away', AT), {
    port: Number(new URL(served.url).port),
  })
  t.after(() => again.close())
  await until(async () => (await text('#live')) === 'live', 'it to be live again', 20_000)
  assert.match(await text('h1'), /^Apple cannot be reached/)
  // The browser's own, for the attempts while nothing listened.
  assert.deepEqual(
    page.complaints.filter(complaint => !complaint.includes('net::ERR_')),
    [],
  )
})

/** Each second of the page's own timers is a twentieth of one. */
const HASTE = 'const { setTimeout: wait } = window; window.setTimeout = (run, ms) => wait(run, ms / 20)'

test('a stream that falls silent, as after a sleep, is told and opened again', { skip }, async t => {
  const { page, text } = await show(t, overviewOf('usual', AT), { script: HASTE })
  await until(async () => (await text('#live')).startsWith('not live since'), 'the silence to be told')
  await until(async () => (await text('#live')) === 'live', 'it to be live again')
  assert.deepEqual(page.complaints, [])
})

test('the policy forbids inline scripts, styles and other hosts; a text is never markup', {
  skip,
}, async t => {
  const evil = '<img src=x onerror="window.broken = true"><script>window.broken = true</script>'
  const overview = overviewOf('Apple away', AT)
  const processes = overview.processes.map(state => ({ ...state, apple: { ...state.apple, failure: evil } }))
  const { page, text } = await show(t, { ...overview, processes })
  assert.ok((await text('#process-rows')).includes(evil))
  assert.deepEqual(page.complaints, [])
  for (const attempt of [
    `document.head.append(Object.assign(document.createElement('script'), { textContent: 'window.broken = true' }))`,
    `document.body.setAttribute('style', 'display: none')`,
    `fetch('http://localhost:9/').catch(() => 0)`,
  ]) {
    const known = page.complaints.length
    await page.read(`void (${attempt})`)
    await until(() => page.complaints.length > known, `the policy to forbid ${attempt}`)
    assert.match(page.complaints.at(-1) ?? '', /Content Security Policy/)
  }
  assert.equal(await page.read('window.broken'), undefined)
  assert.equal(await page.read('getComputedStyle(document.body).display'), 'block')
})

test('the keyboard goes through it in the order of reading, and sees where it is', { skip }, async t => {
  const { page } = await show(t, overviewOf('usual', AT), { width: 700 })
  const reached: string[] = []
  for (let count = 0; count < 6; count += 1) {
    await page.press('Tab')
    const [name = '', outline] = await page.read<string[]>(`(({ innerText, className }, { outlineStyle }) =>
      [className || innerText, outlineStyle])(document.activeElement, getComputedStyle(document.activeElement))`)
    reached.push(name)
    assert.equal(outline, 'solid', name)
  }
  assert.deepEqual(reached, [
    'Decisions as a table',
    'Times as a table',
    'wide',
    'metrics',
    'status.json',
    'healthz',
  ])
})

/** Keeps what a screen reader is told. */
const HEARING = `addEventListener('DOMContentLoaded', () => {
  const element = document.querySelector('#told')
  window.heard = []
  new MutationObserver(() => heard.push(element.textContent)).observe(element, { childList: true })
})`

test('a screen reader is told what is news, not each number that changes', { skip }, async t => {
  const { page, served, clock, text } = await show(t, overviewOf('usual', AT), { script: HEARING })
  const next = async (overview: Overview) => {
    served.overview = () => overview
    await clock.advance(5_000)
    await until(async () => (await text('h1')) === overview.health.sentence, 'the next overview')
  }
  await next({ ...overviewOf('usual', AT), health: { state: 'works', sentence: WORKS.replace('40', '45') } })
  await next(overviewOf('certificate ended', AT))
  const heard = await page.read<string[]>('heard')
  assert.deepEqual(
    heard.filter(text => text !== ''),
    [`Works: ${WORKS}`, 'Down: The certificate for Apple has ended'],
  )
  await until(() => page.read(`document.querySelector('#told').textContent === ''`), 'it to be forgotten')
})

test('a screen reader finds landmarks, headings, named pictures, and tables with captions', {
  skip,
}, async t => {
  const { page, count } = await show(t, overviewOf('usual', AT))
  const { nodes } = (await page.send('Accessibility.getFullAXTree')) as {
    nodes: { ignored: boolean; role: { value: string }; name?: { value: string } }[]
  }
  const named = (role: string) =>
    nodes.filter(node => !node.ignored && node.role.value === role).map(({ name }) => name?.value ?? '')
  for (const role of ['banner', 'main', 'contentinfo', 'navigation'])
    assert.equal(named(role).length, 1, role)
  const headings = ['Devices', 'Now', 'Processes', WORKS, 'The last quarter of an hour']
  assert.deepEqual(named('heading').toSorted(), headings)
  const pictures = named('image').join('\n')
  assert.match(
    pictures,
    /^In 15 minutes: \d+ pushed at once, .* not pushed\n.* were pushed within \d+ ms or less$/,
  )
  assert.equal(await count('table'), await count('table > caption'))
  assert.ok(named('status').length >= 2)
})
