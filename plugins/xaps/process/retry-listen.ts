/** Opens listeners, trying again until they are open. Knows no protocol. */

import { Backoff, NO_JITTER, STANDARD_BACKOFF } from '../base/backoff.ts'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'

export interface Attempts {
  /** Settles with the first attempt; with `retry` it resolves even if that failed. */
  readonly tried: Promise<void>
  /** Ends the attempts; resolves when none is running. */
  stop(): Promise<void>
}

/** Calls `open`, with `retry` until it resolves. A failure is logged once, and so is the success after it. */
export function retryListen(
  open: () => Promise<void>,
  { retry, log }: { readonly retry: boolean; readonly log: Log },
  clock: Clock = systemClock,
): Attempts {
  const backoff = new Backoff(STANDARD_BACKOFF, NO_JITTER)
  let attempt: Promise<void>
  let next: Timer | undefined
  let stopped = false

  const failed = (error: unknown) => {
    if (backoff.failures === 0) log.error('cannot listen, trying again', { reason: reasonOf(error) })
    if (stopped) return
    next = clock.after(backoff.next(), () => {
      attempt = open().then(() => log.notice('listening after all'), failed)
    })
  }

  attempt = retry ? open().catch(failed) : open()
  return {
    tried: attempt,
    async stop() {
      stopped = true
      next?.cancel()
      // A failure was told to the caller, or logged.
      await attempt.catch(() => undefined)
    },
  }
}

/** A socket that a parent has bound for its child. */
export interface Bound {
  readonly fd: number
  /** Lets go of it, and removes its file. Synchronous. */
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

/**
 * Binds each of `wanted` for a child that inherits the descriptors, and calls `changed` whenever there is another one. All
 * stay open for as long as the parent runs, so connections wait while the child is started again, and are served.
 */
export function keepListeners<Name>(
  wanted: readonly Wanted<Name>[],
  changed: () => void,
  log: Log,
  clock: Clock = systemClock,
): KeptListeners<Name> {
  const found: (Bound | undefined)[] = wanted.map(() => undefined)
  const open = async ({ bind }: Wanted<Name>, index: number) => {
    found[index] = await bind()
    changed()
  }
  const attempts = wanted.map((one, index) =>
    retryListen(() => open(one, index), { retry: true, log }, clock),
  )
  return {
    bound: () => wanted.flatMap(({ name }, index) => (found[index] ? [{ name, fd: found[index].fd }] : [])),
    async stop() {
      await Promise.all(attempts.map(attempt => attempt.stop()))
    },
    remove() {
      for (const bound of found.splice(0)) {
        try {
          bound?.remove()
        } catch (error) {
          log.debug('the socket file stays; the next start replaces it', { cause: reasonOf(error) })
        }
      }
    },
  }
}
