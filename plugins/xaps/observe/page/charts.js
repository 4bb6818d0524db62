/** The charts of the last quarter of an hour, each with a summary in words and a table. */

/** @import { Decision } from '../decisions.ts' */
/** @import { Overview, Sample } from '../overview.ts' */

import { at, duration, html, number, row, svg, time } from './elements.js'

/** @typedef {ReturnType<typeof frame>} Frame */

const MINUTE = 60_000
const SHOWN = 15 * MINUTE
const BIN = 15_000

/** The bars' parts from the bottom up. @type {readonly (readonly [name: string, words: string])[]} */
const SERIES = [
  ['pushed', 'pushed at once'],
  ['covered', 'covered by a push'],
  ['waits', 'wait for the window'],
  ['held', 'wait for Apple or the store'],
  ['other', 'not pushed'],
]

/** Of a decision; all others are `other`. @type {Partial<Record<string, string>> & Partial<Record<Decision, string>>} */
const SERIES_OF = {
  pushed: 'pushed',
  covered: 'covered',
  waits_window: 'waits',
  waits_change: 'waits',
  waits_apple: 'held',
  waits_store: 'held',
  expired: 'held',
}

const MARGIN = { top: 8, right: 6, bottom: 24, left: 52 }

/** Where the time axis is named: minutes ago, the word, and which end of the word stands there. */
const TIMES = /** @type {const} */ ([
  [15, '15 minutes ago', 'start'],
  [5, '5 minutes ago', 'middle'],
  [0, 'now', 'end'],
])

/**
 * Draws the frame of a chart whose values go from 0 to 1, and returns where points are in it. Without values it says so.
 * @param {string} id @param {string} summary @param {readonly (readonly [value: number, label: string])[]} ticks
 * @param {boolean} isEmpty
 */
function frame(id, summary, ticks, isEmpty) {
  const element = at(id)
  const { width, height } = element.getBoundingClientRect()
  const { top, right, bottom, left } = MARGIN
  const x = (/** @type {number} */ before) => width - right - (width - left - right) * (before / SHOWN)
  const y = (/** @type {number} */ value) => height - bottom - (height - top - bottom) * value
  const lines = ticks.flatMap(([value, label]) => [
    svg('line', { x1: left, x2: width - right, y1: y(value), y2: y(value) }),
    svg('text', { x: left - 8, y: y(value) + 4, 'text-anchor': 'end' }, label),
  ])
  const times = TIMES.map(([minutes, text, anchor]) =>
    svg('text', { x: x(minutes * MINUTE), y: height - 4, 'text-anchor': anchor }, text),
  )
  const middle = { x: x(SHOWN / 2), y: y(0.5) - 8, 'text-anchor': 'middle' }
  const nothing = isEmpty ? [svg('text', middle, 'nothing in 15 minutes')] : []
  element.setAttribute('aria-label', summary)
  element.replaceChildren(...lines, ...times, ...nothing)
  return { element, x, y }
}

/**
 * Stacked bars of what became of mails and notifications.
 * @param {Overview} overview @param {Readonly<Record<string, string>>} words of decisions
 */
export function showDecisions({ at: now, samples }, words) {
  const bins = Map.groupBy(samples, sample => Math.max(0, Math.floor((now - sample.at) / BIN)))
  const bars = [...bins].map(([place, some]) => ({ place, parts: partsOf(decided(some)) }))
  const most = ceiling(Math.max(0, ...bars.map(({ parts }) => sumOf(parts))))
  const all = decided(samples)
  const total = partsOf(all)
  const legend = SERIES.map(([name, text], place) => ({ name, text: `${number(total[place] ?? 0)} ${text}` }))
  const summary = `In 15 minutes: ${legend.map(({ text }) => text).join(', ')}`
  const ticks = [0, 0.5, 1].map(share => /** @type {const} */ ([share, number(most * share)]))
  const chart = frame('decisions', summary, ticks, sumOf(total) === 0)
  for (const { place, parts } of bars) drawBar(chart, place, parts, most)
  at('legend').replaceChildren(...legend.map(({ name, text }) => html('li', { class: name }, text)))
  const rows = Object.entries(all).sort(([, a], [, b]) => b - a)
  at('decision-rows').replaceChildren(...rows.map(([name, count]) => row(words[name] ?? name, count)))
}

/** How often each decision was made in some samples. @param {readonly Sample[]} samples */
function decided(samples) {
  /** @type {Record<string, number>} */
  const counts = {}
  for (const { decisions } of samples)
    for (const [name, count] of Object.entries(decisions)) counts[name] = (counts[name] ?? 0) + count
  return counts
}

/** The same by series, in their order. @param {Record<string, number>} counts */
function partsOf(counts) {
  const ofSeries = (/** @type {string} */ series) =>
    Object.entries(counts).filter(([name]) => (SERIES_OF[name] ?? 'other') === series)
  return SERIES.map(([series]) => sumOf(ofSeries(series).map(([, count]) => count)))
}

/** @param {readonly number[]} numbers */
const sumOf = numbers => numbers.reduce((a, b) => a + b, 0)

/** @param {Frame} chart @param {number} place in bins ago @param {readonly number[]} parts @param {number} most */
function drawBar({ element, x, y }, place, parts, most) {
  const left = x((place + 1) * BIN)
  const width = Math.max(1, x(place * BIN) - left - 1.5)
  let below = 0
  for (const [index, [series, text]] of SERIES.entries()) {
    const count = parts[index] ?? 0
    const top = y((below + count) / most)
    const box = { class: series, x: left, y: top, width, height: y(below / most) - top }
    if (count > 0) element.append(svg('rect', box, svg('title', {}, `${number(count)} ${text}`)))
    below += count
  }
}

/** The next number of 2, 4, 6, 8, 10, 20 …, whose half is whole. @param {number} value */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)))
  return ([2, 4, 6, 8].find(step => step * power >= value) ?? 10) * power
}

/** The shortest time that is told from none, in seconds. */
const SHORTEST = 0.001

/** Lines of half and of nearly all times from a mail to its push, on a scale of powers of ten. @param {Overview} overview */
export function showTimes({ at: now, samples }) {
  const timed = samples.flatMap(({ at, p50, p99 }) =>
    p50 === undefined ? [] : [{ at, p50: Math.max(SHORTEST, p50), p99: Math.max(SHORTEST, p99 ?? p50) }],
  )
  const low = Math.floor(Math.log10(Math.min(0.01, ...timed.map(({ p50 }) => p50))))
  const longest = Math.max(0, ...timed.map(({ p99 }) => p99))
  const high = Math.max(low + 2, Math.ceil(Math.log10(longest)))
  const scaled = (/** @type {number} */ seconds) => (Math.log10(seconds) - low) / (high - low)
  const powers = Array.from({ length: high - low + 1 }, (_, step) => 10 ** (low + step))
  const ticks = powers.map(power => /** @type {const} */ ([scaled(power), duration(power)]))
  const isEmpty = timed.length === 0
  const summary = isEmpty
    ? 'No push in 15 minutes'
    : `In each 5 seconds of 15 minutes, 99 of 100 mails were pushed within ${duration(longest)} or less`
  const chart = frame('times', summary, ticks, isEmpty)
  for (const name of /** @type {const} */ (['p99', 'p50']))
    drawLine(
      chart,
      name,
      timed.map(sample => [now - sample.at, scaled(sample[name])]),
    )
  at('time-rows').replaceChildren(...timeRows(timed))
}

/** A line with gaps where there are no points. @param {Frame} chart @param {string} name @param {(readonly [before: number, value: number])[]} points */
function drawLine({ element, x, y }, name, points) {
  let last = Number.POSITIVE_INFINITY
  const steps = points.map(([before, value]) => {
    const place = `${x(before).toFixed(1)} ${y(value).toFixed(1)}`
    // A point by itself is seen as a dash.
    const step = last - before < BIN ? `L${place}` : `M${place}m-2 0h2`
    last = before
    return step
  })
  element.append(svg('path', { class: name, d: steps.join('') }))
}

/** The longest of each minute, the newest first. @param {readonly { at: number, p50: number, p99: number }[]} timed */
function timeRows(timed) {
  const minutes = [...Map.groupBy(timed, sample => Math.floor(sample.at / MINUTE))].reverse()
  const cell = (/** @type {number[]} */ seconds) =>
    html('td', { class: 'number' }, duration(Math.max(...seconds)))
  return minutes.map(([minute, some]) =>
    row(time(minute * MINUTE), cell(some.map(({ p50 }) => p50)), cell(some.map(({ p99 }) => p99))),
  )
}
