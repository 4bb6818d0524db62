/**
 * How Haraka's workers get their settings, which they read nowhere themselves: over the cluster's own channel, from the primary,
 * at their start and whenever it has taken up others. So all processes agree, and a file that is half written just when one of
 * them starts again changes nothing. The companion is told the same by companion.ts.
 */

import cluster, { type Worker } from 'node:cluster'
import { type Clock, systemClock } from '../base/clock.ts'
import { ASK_SETTINGS, isEvent, SETTINGS } from '../process/message.ts'
import type { Settings } from '../settings.ts'

/** The primary answers at once, unless it is held up or has no such plugin. */
const ANSWER_TIMEOUT_MS = 10_000

/** In the primary: answers every worker with what `latest` gives then, nothing where the plugin is off in the primary. */
export function answerWorkers(latest: () => Settings | undefined): void {
  cluster.on('message', (worker, message) => {
    if (!isEvent(message, ASK_SETTINGS) || !worker.isConnected()) return
    tell(worker, latest())
  })
}

/** In the primary: tells all workers, of which one that has not asked yet is told later. */
export function tellWorkers(settings: Settings): void {
  for (const worker of Object.values(cluster.workers ?? {})) if (worker?.isConnected()) tell(worker, settings)
}

function tell(worker: Worker, settings: Settings | undefined): void {
  // A worker that ends meanwhile needs none.
  worker.process.send({ event: SETTINGS, settings }, () => undefined)
}

/**
 * In a worker: asks once, and calls `receive` with the answer and with all settings after it, or `late` when there is no answer
 * for 10 s.
 */
export function askPrimary(
  receive: (settings: Settings | undefined) => void,
  late: () => void,
  clock: Clock = systemClock,
): void {
  const timer = clock.after(ANSWER_TIMEOUT_MS, late)
  process.on('message', (message: unknown) => {
    if (!isEvent(message, SETTINGS)) return
    timer.cancel()
    receive((message as { readonly settings?: Settings }).settings)
  })
  // Without a primary there is no answer, which `late` tells.
  process.send?.({ event: ASK_SETTINGS }, undefined, undefined, () => undefined)
}
