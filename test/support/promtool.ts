/** Prometheus' own promtool, and its text format read. */

import { type Ended, run } from '../e2e/run.ts'
import { find, missing } from './need.ts'

export const missingPromtool = () => missing('promtool')

/** `promtool ARGS…`, with `input` as standard input. */
export function promtool(args: readonly string[], input = ''): Promise<Ended> {
  return run(find('promtool') ?? 'promtool', args, { input })
}

/** What promtool finds wrong with a text in Prometheus' format, in its grammar and in the names; '' for nothing. */
export async function faultsOf(text: string): Promise<string> {
  const { status, stdout, stderr } = await promtool(['check', 'metrics'], text)
  return status === 0 ? '' : `exit status ${status}: ${stdout}${stderr}`
}

/** The values of a text by name and labels, as they stand there: `xaps_devices{process="companion"}` → 7. */
export function valuesIn(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map(line => {
      const blank = line.lastIndexOf(' ')
      return [line.slice(0, blank), Number(line.slice(blank + 1))]
    }),
  )
}
