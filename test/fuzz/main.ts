/** `npm run fuzz`: fuzzes the parsers for as long as one likes. Exit 0 nothing found, 1 found, 2 misused. */

import { parseArgs } from 'node:util'
import { describe, fuzz } from './engine.ts'

const ROUND = 20_000
const DEFAULT_SECONDS = 60
const USAGE = 'usage: npm run fuzz -- [--seconds N] [--seed N]'

interface Options {
  readonly seconds: number
  readonly seed: number
}

/** Rounds of ROUND inputs, each with a seed of its own, which alone repeats it. */
function run({ seconds, seed: firstSeed }: Options): number {
  const end = Date.now() + seconds * 1000
  let seed = firstSeed
  for (; Date.now() < end; seed += 1) {
    const { accepted, finding } = fuzz(seed, ROUND)
    if (finding) {
      console.error(`\n${describe(finding, seed)}\nagain: npm run fuzz -- --seed ${seed}`)
      return 1
    }
    const counts = Object.entries(accepted).map(([name, count]) => `${name} ${count}`)
    console.log(`seed ${seed}: ${ROUND} inputs, accepted: ${counts.join(', ')}`)
  }
  return 0
}

function optionsFrom(args: string[]): Options {
  const { values } = parseArgs({ args, options: { seconds: { type: 'string' }, seed: { type: 'string' } } })
  return {
    seconds: wholeNumber(values.seconds, DEFAULT_SECONDS),
    seed: wholeNumber(values.seed, Date.now() % 1_000_000_000),
  }
}

function wholeNumber(text: string | undefined, standard: number): number {
  if (text === undefined) return standard
  if (!/^\d{1,9}$/.test(text)) throw new Error(`not a whole number: ${text}`)
  return Number(text)
}

function main(): number {
  try {
    return run(optionsFrom(process.argv.slice(2)))
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`)
    return 2
  }
}

process.exitCode = main()
