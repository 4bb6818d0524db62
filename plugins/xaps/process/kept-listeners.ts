/**
 * What a parent listens on for its child: each is bound here, tried again until that succeeds, inherited by the child as a
 * descriptor, and open for as long as the parent runs. So what connects while the child is started again waits and is
 * served. Knows nothing of what is served.
 */

import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { retryListen } from './retry-listen.ts'

export interface Bound {
  readonly fd: number
  /** Lets go of it, and removes its file. Synchronous; never throws where the next start mends it. */
  remove(): void
}

export interface Wanted<Name> {
  readonly name: Name
  /** Binds as much as possible before it returns: the parent is root only while it starts. */
  bind(): Promise<Bound>
}

export interface KeptListeners<Name> {
  /** Those that are bound, in their order. */
  bound(): ReadonlyArray<{ readonly name: Name; readonly fd: number }>
  /** Ends the attempts. Never rejects. */
  stop(): Promise<void>
  /** Lets go of all. Synchronous, and never throws. */
  remove(): void
}

/** Binds each of `wanted`; calls `changed` whenever there is another one. */
export function keepListeners<Name>(
  wanted: readonly Wanted<Name>[],
  changed: () => void,
  log: Log,
  clock: Clock = systemClock,
): KeptListeners<Name> {
  const found: (Bound | undefined)[] = []
  const attempts = wanted.map(({ bind }, index) =>
    retryListen(
      async () => {
        found[index] = await bind()
        changed()
      },
      { retry: true, log },
      clock,
    ),
  )
  return {
    bound: () => wanted.flatMap(({ name }, index) => asList(found[index]).map(({ fd }) => ({ name, fd }))),
    async stop() {
      await Promise.all(attempts.map(attempt => attempt.stop()))
    },
    remove() {
      for (const bound of found.splice(0).flatMap(asList)) tryRemove(bound, log)
    },
  }
}

function asList<T>(value: T | undefined): T[] {
  return value === undefined ? [] : [value]
}

function tryRemove(bound: Bound, log: Log): void {
  try {
    bound.remove()
  } catch (error) {
    log.debug('the socket file stays; the next start replaces it', { cause: reasonOf(error) })
  }
}
