/** The child's side of supervise.ts: what its parent tells it first, signs of life, and to end when the parent has. */

import { type Clock, systemClock } from '../clock.ts'
import { isEvent, PING, PONG, START } from './message.ts'

/** How long an orderly end may take before the process ends without it, in milliseconds. */
const END_TIMEOUT_MS = 3_000

/** A process with a channel to its parent, as far as it is needed here. */
export interface LinkedProcess {
  on(event: 'message', listener: (message: unknown) => void): unknown
  on(event: 'disconnect', listener: () => void): unknown
  readonly connected?: boolean
  send?(message: unknown, sent: (error: Error | null) => void): unknown
  exit(code: number): void
}

export interface ParentLink {
  /** The parent's first message. Rejects when the parent is gone before it. */
  readonly hello: Promise<unknown>
  /** When the parent is gone, which the kernel tells of one that was killed, too: calls `end`, then exits. */
  endWithParent(end: () => Promise<unknown>): void
}

/** Answers the parent's questions from now on. */
export function linkToParent(own: LinkedProcess = process, clock: Clock = systemClock): ParentLink {
  const gone = new Promise<void>(resolve => {
    own.on('disconnect', resolve)
    if (!own.connected) resolve()
  })
  const hello = new Promise<unknown>((resolve, reject) => {
    own.on('message', message => {
      if (isEvent(message, START)) resolve(message)
      // The answer may come too late for a parent that has just ended, which is noticed otherwise.
      else if (isEvent(message, PING)) own.send?.({ event: PONG }, () => undefined)
    })
    void gone.then(() => reject(new Error('there is no parent process that tells what to do')))
  })
  // Who has had it, or never asks for it, does not miss it.
  hello.catch(() => undefined)
  return {
    hello,
    endWithParent(end) {
      void gone.then(() => {
        clock.after(END_TIMEOUT_MS, () => own.exit(1))
        end().then(
          () => own.exit(0),
          () => own.exit(1),
        )
      })
    },
  }
}
