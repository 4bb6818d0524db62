/** How the workers of a cluster get their settings: they ask the primary, over the cluster's own channel. */

import cluster from 'node:cluster'
import { type Clock, systemClock } from '../base/clock.ts'
import { ASK_SETTINGS, isEvent, SETTINGS } from '../process/message.ts'
import type { Settings } from './settings.ts'

/** The primary answers at once, unless it is held up or has no such plugin. */
const PATIENCE_MS = 10_000

interface Answer {
  readonly event: typeof SETTINGS
  /** Missing where the plugin is off in the primary. */
  readonly settings?: Settings
}

/** In the primary: answers every worker with what `current` gives then. */
export function answerWorkers(current: () => Settings | undefined): void {
  cluster.on('message', (worker, message) => {
    if (!isEvent(message, ASK_SETTINGS) || !worker.isConnected()) return
    const settings = current()
    const answer: Answer = settings ? { event: SETTINGS, settings } : { event: SETTINGS }
    // A worker that ends meanwhile needs no answer.
    worker.process.send(answer, () => undefined)
  })
}

/** In a worker: asks once, and calls `receive` with the answer, or `late` when there is none for 10 s. */
export function askPrimary(
  receive: (settings: Settings | undefined) => void,
  late: () => void,
  clock: Clock = systemClock,
): void {
  const patience = clock.after(PATIENCE_MS, late)
  const listener = (message: unknown) => {
    if (!isEvent(message, SETTINGS)) return
    process.off('message', listener)
    patience.cancel()
    receive((message as Answer).settings)
  }
  process.on('message', listener)
  // Without a primary nobody answers, which is noticed.
  process.send?.({ event: ASK_SETTINGS }, undefined, undefined, () => undefined)
}
