/** The child's side of supervise.ts: what its parent tells it, first and later, signs of life, and to end when the parent has. */

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Clock, systemClock } from '../base/clock.ts'
import { EXIT_AFTER_MS } from '../base/limits.ts'
import { eachLine } from '../base/lines.ts'

/** The descriptor of a supervised child at which the channel to its parent is. */
export const CHANNEL_FD = 3

export interface ParentLink {
  /** The parent's first message. Rejects when the parent is gone before it. */
  readonly hello: Promise<unknown>
  /** Has `listener` called with each message after the first that says something from now on. */
  onNews(listener: (message: unknown) => void): void
  /** When the parent is gone, which the kernel tells of one that was killed, too: calls `end`, then exits. */
  endWithParent(end: () => Promise<unknown>): void
}

/** Answers every message from now on; an empty one asks for nothing else. */
export function linkToParent(
  channel: Duplex = new Socket({ fd: CHANNEL_FD }),
  exit: (code: number) => void = process.exit,
  clock: Clock = systemClock,
): ParentLink {
  const gone = new Promise<void>(resolve => {
    channel.on('end', resolve).on('close', resolve)
  })
  let listener: (message: unknown) => void = () => undefined
  const hello = new Promise<unknown>((resolve, reject) => {
    let isFirst = true
    const onLine = (line: string) => {
      channel.write('\n')
      const message: unknown = JSON.parse(line)
      if (isFirst) resolve(message)
      else if (line !== '{}') listener(message)
      isFirst = false
    }
    eachLine(channel, onLine, Number.POSITIVE_INFINITY)
    void gone.then(() => reject(new Error('there is no parent process that tells what to do')))
  })
  // After it has come, or where it is never asked for, its loss is of no matter.
  hello.catch(() => undefined)
  return {
    hello,
    onNews(wanted) {
      listener = wanted
    },
    endWithParent(end) {
      void gone.then(() => {
        clock.after(EXIT_AFTER_MS, () => exit(1))
        end().then(
          () => exit(0),
          () => exit(1),
        )
      })
    },
  }
}
