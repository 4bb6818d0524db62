/**
 * SIGTERM, which Haraka leaves to the system: the process would die at once, with pushes pending and a socket file
 * left behind. In a cluster the primary first lets its workers finish, since they die with it.
 */

import cluster, { type Worker } from 'node:cluster'
import { KILL_AFTER_MS } from '../base/limits.ts'
import { FINISH, FINISHED, isEvent } from '../process/message.ts'

/** Calls `finish` before SIGTERM takes its usual effect. `finish` must not reject and must end in bounded time. */
export function onTermination(finish: () => Promise<void>): void {
  process.once('SIGTERM', () => {
    void Promise.all([finish(), finishWorkers()]).then(dieOfSigterm)
  })
  if (cluster.isWorker)
    process.on('message', message => isEvent(message, FINISH) && void finish().then(tellPrimary))
}

/** Other listeners have had the signal already; without any it ends the process. */
function dieOfSigterm(): void {
  if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM')
}

function tellPrimary(): void {
  if (process.connected) process.send?.({ event: FINISHED })
}

/** Lets the workers of a primary finish. A worker that hangs is not waited for. */
export async function finishWorkers(): Promise<void> {
  const workers = Object.values(cluster.workers ?? {}).filter(worker => worker?.isConnected())
  const all = Promise.all(workers.map(worker => worker && finished(worker)))
  await Promise.race([all, new Promise(resolve => setTimeout(resolve, KILL_AFTER_MS).unref())])
}

function finished(worker: Worker): Promise<void> {
  return new Promise(resolve => {
    worker.on('message', message => isEvent(message, FINISHED) && resolve())
    worker.once('exit', () => resolve())
    worker.send({ event: FINISH })
  })
}
