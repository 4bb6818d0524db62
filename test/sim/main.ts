/** `npm run sim`: runs seeds, or shows that mutants are found. Exit 0 nothing broken, 1 broken, 2 misused. */

import { parseArgs } from 'node:util'
import { finding, MUTANTS } from './mutants.ts'
import { planOf, STEPS } from './plan.ts'
import { runSeed, shrink, story } from './run.ts'
import { blocksOf, runBlocks } from './threads.ts'

const USAGE = 'usage: npm run sim -- [--seed N] [--steps M] [--runs K] [--mutants | --trace]'
const RUNS = 1_000

interface Options {
  readonly seed: number
  readonly steps: number
  readonly runs: number
  readonly mutants: boolean
  readonly trace: boolean
}

function optionsFrom(args: string[]): Options {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const { values } = parseArgs({
    args,
    options: { seed: text, steps: text, runs: text, mutants: flag, trace: flag },
  })
  return {
    seed: wholeNumber(values.seed, Date.now() % 1_000_000_000),
    steps: wholeNumber(values.steps, STEPS),
    runs: wholeNumber(values.runs, RUNS),
    mutants: values.mutants,
    trace: values.trace,
  }
}

function wholeNumber(text: string | undefined, standard: number): number {
  if (text === undefined) return standard
  if (!/^\d{1,9}$/.test(text)) throw new Error(`not a whole number: ${text}`)
  return Number(text)
}

/** Runs the seeds until one fails, whose story is told. */
async function runSeeds({ seed, steps, runs }: Options): Promise<number> {
  const from = performance.now()
  const failed: (readonly [number, string])[] = []
  let count = 0
  await runBlocks(blocksOf(seed, runs, { steps }), (block, result) => {
    failed.push(...result.failed)
    count += block.count
    return failed.length === 0
  })
  const perSecond = Math.round((count * 1_000) / (performance.now() - from))
  console.log(
    `seeds ${seed} to ${seed + runs - 1}: ${count} run, ${perSecond} a second, ${failed.length} failed`,
  )
  const [first] = failed.map(([number]) => number).sort((a, b) => a - b)
  if (first === undefined) return 0
  console.log(await story(await shrink(planOf(first, steps), {}), {}))
  console.log(`again: npm run sim -- --seed ${first} --steps ${steps} --runs 1`)
  return 1
}

async function runMutants(options: Options): Promise<number> {
  let missed = 0
  for (const mutant of MUTANTS) {
    const found = await finding(mutant, options)
    if (!found) missed += 1
    const how = found ? `seed ${found[0]}, promise ${found[1]}` : `NOT FOUND in ${options.runs} seeds`
    console.log(`${how.padEnd(32)} ${mutant.name}`)
  }
  return missed === 0 ? 0 : 1
}

async function trace({ seed, steps }: Options): Promise<number> {
  const { trace, broken } = await runSeed(seed, steps, {})
  console.log(trace.join('\n'))
  for (const { promise, how } of broken) console.log(`broken: ${promise}: ${how}`)
  return broken.length === 0 ? 0 : 1
}

async function main(): Promise<number> {
  let options: Options
  try {
    options = optionsFrom(process.argv.slice(2))
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`)
    return 2
  }
  if (options.trace) return trace(options)
  return options.mutants ? runMutants({ ...options, seed: 1 }) : runSeeds(options)
}

void main().then(code => {
  process.exitCode = code
})
