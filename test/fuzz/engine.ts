/** Mutates requests, gives them to the targets, and makes what breaks one small. Knows no protocol. */

import fc from 'fast-check'
import { printBody, printLine } from '../registration/printer.ts'
import { anyNotify, anyRegister, wireFiles, wireInput } from '../registration/requests.ts'
import { mutate } from './mutate.ts'
import { seededRandom } from './random.ts'
import { targets as allTargets, type Target } from './targets.ts'

const GENERATED_REQUESTS = 100
const SHRINK_ATTEMPTS = 5_000

/** An input that breaks a target, and how. */
export interface Finding {
  readonly target: string
  readonly input: Buffer
  readonly error: unknown
}

export interface Result {
  /** How often each target accepted an input. */
  readonly accepted: Readonly<Record<string, number>>
  readonly finding: Finding | undefined
}

/** The recorded requests and some generated ones, in both protocols. */
export function corpusOf(seed: number): readonly Buffer[] {
  const generated = fc.sample(fc.oneof(anyRegister, anyNotify), { seed, numRuns: GENERATED_REQUESTS })
  return [
    ...wireFiles().map(wireInput),
    ...generated.flatMap(request => [printLine(request), printBody(request)]),
  ]
}

/** `iterations` inputs for every target, or up to the first that breaks one. The same seed, the same inputs. */
export function fuzz(
  seed: number,
  iterations: number,
  targets: Readonly<Record<string, Target>> = allTargets,
): Result {
  const random = seededRandom(seed)
  const corpus = corpusOf(seed)
  const accepted = Object.fromEntries(Object.keys(targets).map(name => [name, 0]))
  for (let iteration = 0; iteration < iterations; iteration += 1) {
    const input = mutate(random.pick(corpus), random, corpus)
    for (const [name, target] of Object.entries(targets)) {
      const outcome = attempt(target, input)
      if (typeof outcome === 'object')
        return { accepted, finding: shrunk(name, target, input, outcome.error) }
      if (outcome === 'accepted') accepted[name] = (accepted[name] ?? 0) + 1
    }
  }
  return { accepted, finding: undefined }
}

/** A finding in lines to paste into a bug report. */
export function describe(finding: Finding, seed: number): string {
  const { error } = finding
  return [
    `target ${finding.target} breaks on ${finding.input.length} bytes (seed ${seed}):`,
    finding.input.toString('hex'),
    JSON.stringify(finding.input.toString('latin1')),
    error instanceof Error ? String(error.stack) : String(error),
  ].join('\n')
}

function attempt(target: Target, input: Buffer): ReturnType<Target> | { readonly error: unknown } {
  try {
    return target(input)
  } catch (error) {
    return { error }
  }
}

/** Leaves out ever smaller pieces as long as the target still breaks. */
function shrunk(name: string, target: Target, found: Buffer, firstError: unknown): Finding {
  let input = found
  let error = firstError
  let attempts = 0
  for (let size = input.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < input.length && attempts < SHRINK_ATTEMPTS; attempts += 1) {
      const smaller = Buffer.concat([input.subarray(0, at), input.subarray(at + size)])
      const outcome = attempt(target, smaller)
      if (typeof outcome === 'object') {
        input = smaller
        error = outcome.error
      } else {
        at += size
      }
    }
  }
  return { target: name, input, error }
}
