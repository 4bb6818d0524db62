/**
 * Ctrl-C and its like, while a command has something to close: the work is left as it stands, what is open is closed, and the
 * process ends by the signal, so that a shell and its scripts see that. A second signal ends it at once.
 */

import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

type Signal = (typeof SIGNALS)[number]

/** The work was left because of a signal. */
export class Interrupted extends Error {
  override name = 'Interrupted'
  readonly signal: Signal

  constructor(signal: Signal) {
    super(`interrupted by ${signal}`)
    this.signal = signal
  }
}

let last: Interrupted | undefined

/** The last interruption, also when the work has made something else of it. */
export function interruption(): Interrupted | undefined {
  return last
}

/** What a signal ends: of works inside each other the inner one, so that the outer one closes its things after it. */
let interrupt: ((signal: Signal) => void) | undefined

/** Does `work`. Rejects as it does, and with Interrupted at a signal, without waiting for it. */
export async function untilInterrupted<T>(work: () => Promise<T>): Promise<T> {
  const outer = interrupt
  if (outer === undefined) for (const signal of SIGNALS) process.once(signal, onSignal)
  const interrupted = new Promise<never>((_, reject) => {
    interrupt = signal => {
      last = new Interrupted(signal)
      reject(last)
    }
  })
  try {
    return await Promise.race([work(), interrupted])
  } finally {
    interrupt = outer
    if (outer === undefined) for (const signal of SIGNALS) process.off(signal, onSignal)
  }
}

function onSignal(signal: NodeJS.Signals): void {
  for (const other of SIGNALS) process.off(other, onSignal)
  interrupt?.(signal as Signal)
}

/** Ends this process as the signal would have ended it, which a shell says as the status that is returned, should it live on. */
export function endBy({ signal }: Interrupted): number {
  process.kill(process.pid, signal)
  return 128 + constants.signals[signal]
}
