/** `npm run bench`: every benchmark in turn, one table at the end. Figures are for comparing within one run. */

import os from 'node:os'
import { Command, Option } from 'commander'
import { reasonOf } from '../../plugins/xaps/base/log.ts'
import { scoped } from '../support/owned.ts'
import { companion } from './companion.ts'
import { latency, notify } from './latency.ts'
import type { Row, Scale } from './measure.ts'
import { memory } from './memory.ts'
import { push } from './push.ts'
import { registration } from './registration.ts'
import { scale } from './scale.ts'
import { smtp } from './smtp.ts'
import { store } from './store.ts'
import { table } from './table.ts'

const BENCHES = { push, latency, notify, smtp, memory, registration, companion, store, scale }
const NAMES = Object.keys(BENCHES) as (keyof typeof BENCHES)[]

interface Options {
  readonly only?: typeof NAMES
  readonly quick?: boolean
  readonly json?: boolean
  readonly profile?: string
}

function command(): Command {
  return new Command('bench')
    .description('what the plugin costs, beside the same work without it')
    .addOption(new Option('--only <name...>', 'some of the benchmarks').choices(NAMES))
    .option('--quick', 'fewer and shorter rounds: within two minutes')
    .option('--json', 'the rows as JSON lines')
    .option('--profile <directory>', 'the measured processes leave CPU profiles there; their figures suffer')
}

async function run({ only = NAMES, quick = false, json, profile }: Options): Promise<void> {
  const scale: Scale = { quick, of: (full, short) => (quick ? short : full), profileDir: profile }
  const rows: [string, Row][] = []
  for (const name of only) {
    const start = performance.now()
    const measured = await scoped(scope => BENCHES[name](scale, scope))
    rows.push(...measured.map((row): [string, Row] => [name, row]))
    process.stderr.write(`${name}: ${((performance.now() - start) / 1000).toFixed(0)} s\n`)
    if (json) for (const row of measured) console.log(JSON.stringify({ bench: name, ...row }))
  }
  if (json) return
  const load = os.loadavg().map(value => value.toFixed(1))
  console.log(`Node ${process.version}, ${os.cpus().length} cores, load ${load.join(' ')}; medians\n`)
  console.log(table(rows))
}

run(command().parse().opts<Options>()).catch((error: unknown) => {
  console.error(`bench: ${error instanceof Error ? error.stack : reasonOf(error)}`)
  process.exitCode = 1
})
