/** A thread that runs seeds, one block after another, and tells which of them break a promise. */

import { parentPort } from 'node:worker_threads'
import type { Mutation } from './realm.ts'
import { runSeed } from './run.ts'

/** What is asked of a thread. */
export interface Block {
  readonly from: number
  readonly count: number
  readonly steps: number
  readonly mutation?: Mutation | undefined
}

/** And what it answers: the seeds that have failed, and the promise that each has broken first. */
export interface BlockResult {
  readonly failed: readonly (readonly [seed: number, promise: string])[]
}

async function work({ from, count, steps, mutation }: Block): Promise<BlockResult> {
  const failed: [number, string][] = []
  for (let seed = from; seed < from + count; seed += 1) {
    const { broken } = await runSeed(seed, steps, { mutation })
    if (broken[0]) failed.push([seed, broken[0].promise])
  }
  return { failed }
}

parentPort?.on('message', (block: Block) => {
  void work(block).then(result => parentPort?.postMessage(result))
})
