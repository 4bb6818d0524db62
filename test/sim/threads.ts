/** Blocks of seeds on all processors. */

import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Block, BlockResult } from './worker.ts'

/** Has the blocks run, some at a time; `done` gets each with its result as it comes, and returns whether to go on. */
export async function runBlocks(
  blocks: Iterable<Block>,
  done: (block: Block, result: BlockResult) => boolean,
  threads = availableParallelism(),
): Promise<void> {
  const queue = blocks[Symbol.iterator]()
  let isOver = false
  const serve = async () => {
    const worker = new Worker(path.join(__dirname, 'worker.js'))
    try {
      for (let next = queue.next(); !next.done && !isOver; next = queue.next()) {
        worker.postMessage(next.value)
        const [result] = (await once(worker, 'message')) as [BlockResult]
        if (!done(next.value, result)) isOver = true
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: threads }, serve))
}

/** `runs` seeds from `seed` on, in blocks. */
export function* blocksOf(seed: number, runs: number, rest: Omit<Block, 'from' | 'count'>, size = 100) {
  for (let from = seed; from < seed + runs; from += size)
    yield { ...rest, from, count: Math.min(size, seed + runs - from) }
}
