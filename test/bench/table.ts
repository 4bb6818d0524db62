/** Rows → a table in Markdown that is also readable on a terminal. Pure. */

import { isMet, type Row, type Target } from './measure.ts'

const HEAD = ['figure', 'ours', 'baseline', 'ratio', 'target', 'met'] as const

/** One table for all benches, each row named `bench: figure`. */
export function table(rows: readonly (readonly [bench: string, row: Row])[]): string {
  const cells = [HEAD, ...rows.map(([bench, row]) => cellsOf(bench, row))]
  const widths = HEAD.map((_, column) => Math.max(...cells.map(line => line[column]?.length ?? 0)))
  const lines = cells.map(line => `| ${line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`)
  const rule = `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`
  return [lines[0], rule, ...lines.slice(1)].join('\n')
}

function cellsOf(bench: string, row: Row): readonly string[] {
  const { what, unit, ours, baseline, target } = row
  const met = isMet(row)
  return [
    `${bench}: ${what}`,
    quantity(ours, unit),
    `${quantity(baseline.value, unit)} ${baseline.what}`,
    `${baseline.ratio.toFixed(2)} ×`,
    target ? bound(target, unit) : '',
    met === undefined ? '' : met ? 'yes' : 'NO',
  ]
}

function bound({ of, most, least }: Target, unit: string): string {
  const show = (value: number) => (of === 'ratio' ? `${value} ×` : `${value.toLocaleString('en')} ${unit}`)
  return most === undefined ? `≥ ${show(least ?? 0)}` : `≤ ${show(most)}`
}

/** Three significant digits are more than a shared machine can vouch for. */
function quantity(value: number, unit: string): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 0.01))))
  return `${Number(value.toFixed(digits)).toLocaleString('en')} ${unit}`
}
