/** One run of a plan, and the smallest plan that breaks the same promise. */

import { turns } from '../support/fake-clock.ts'
import { type Plan, planOf, type Step, told } from './plan.ts'
import type { WorldOptions } from './plugin.ts'
import { type Broken, PROMISES } from './promises.ts'
import { World } from './world.ts'

export interface Result {
  readonly broken: readonly Broken[]
  /** What happened, line by line; the same for the same plan. */
  readonly trace: readonly string[]
}

/** Plays `plan`. Never rejects: whatever is thrown is a promise broken. */
export async function run(plan: Plan, options: WorldOptions): Promise<Result> {
  const world = new World(plan, options)
  const unhandled = (error: unknown) => world.oracle.breaks('alive', `unhandled: ${stackOf(error)}`)
  process.on('unhandledRejection', unhandled)
  try {
    await world.play()
  } catch (error) {
    world.oracle.breaks('alive', `the simulation failed: ${stackOf(error)}`)
  } finally {
    // Rejections that nobody has handled are told at the end of a turn.
    await turns(1)
    process.off('unhandledRejection', unhandled)
  }
  return { broken: world.oracle.broken, trace: world.trace }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** How often a smaller plan is tried with another order of things, before it counts as good. */
const TRIES = 4

/** A plan with as few steps as break the promise that `plan` breaks first. */
export async function shrink(plan: Plan, options: WorldOptions): Promise<Plan> {
  const promise = (await run(plan, options)).broken[0]?.promise
  if (promise === undefined) return plan
  const failing = async (candidate: Plan): Promise<Plan | undefined> => {
    for (let turn = 0; turn < TRIES; turn += 1) {
      const tried = { ...candidate, seed: candidate.seed + turn }
      const { broken } = await run(tried, options)
      if (broken[0]?.promise === promise) return tried
    }
    return undefined
  }
  let smallest = plan
  for (let size = Math.ceil(plan.steps.length / 2); size >= 1; size = size > 1 ? Math.ceil(size / 2) : 0) {
    for (let from = 0; from < smallest.steps.length; ) {
      const steps = smallest.steps.toSpliced(from, size)
      const smaller = await failing({ ...smallest, steps })
      if (smaller) smallest = smaller
      else from += size
    }
  }
  return withoutStrangers(smallest, failing)
}

/** Without the devices and users that nothing is told of. */
async function withoutStrangers(
  plan: Plan,
  failing: (plan: Plan) => Promise<Plan | undefined>,
): Promise<Plan> {
  const named = plan.steps.flatMap(devicesIn)
  const most = Math.max(0, ...named)
  return (await failing({ ...plan, owners: plan.owners.slice(0, most + 1) })) ?? plan
}

function devicesIn(step: Step): readonly number[] {
  if (step.does === 'register') return [step.device]
  return step.does === 'gone' ? step.devices : []
}

/** What a reader needs: the promise, the steps, and all that happened. */
export async function story(plan: Plan, options: WorldOptions): Promise<string> {
  const { broken, trace } = await run(plan, options)
  const promises = broken.map(({ promise, how }) => `${PROMISES[promise]}\n    ${how}`)
  const users = plan.owners.map((owner, device) => `device ${device} of user ${owner}`).join(', ')
  return [
    `seed ${plan.seed}, store ${plan.store}, ${users}`,
    ...promises,
    'the plan:',
    ...plan.steps.map(step => `  ${told(step)}`),
    'what happened:',
    ...trace.filter(line => !line.includes(' plan: ')).map(line => `  ${line}`),
  ].join('\n')
}

/** The run of a seed. */
export function runSeed(seed: number, steps: number, options: WorldOptions): Promise<Result> {
  return run(planOf(seed, steps), options)
}
