/** The child's side of supervise.ts: to end when the parent has, however that ended. */

import type { Readable } from 'node:stream'
import { type Clock, systemClock } from '../clock.ts'

/** How long an orderly end may take before the process ends without it, in milliseconds. */
const END_TIMEOUT_MS = 3_000

/**
 * Calls `end` when `input` closes, and exits when that is done. The parent holds the other end of `input` and never
 * writes: the kernel closes it for a parent that was killed, too.
 */
export function endWithParent(
  end: () => Promise<unknown>,
  input: Readable = process.stdin,
  exit: (code: number) => void = process.exit,
  clock: Clock = systemClock,
): void {
  let ending = false
  const onGone = () => {
    if (ending) return
    ending = true
    clock.after(END_TIMEOUT_MS, () => exit(1))
    end().then(
      () => exit(0),
      () => exit(1),
    )
  }
  input.on('end', onGone).on('close', onGone).on('error', onGone).resume()
}
