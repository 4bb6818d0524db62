/**
 * How Haraka's primary and its workers talk: over the cluster's channel, in plain objects with an `event`, as Haraka's own
 * are; it ignores others.
 */

export interface Message<E extends string = string> {
  readonly event: E
}

/** Haraka's primary asks a worker to finish what is pending, and the worker has. */
export const FINISH = 'xaps.finish'
export const FINISHED = 'xaps.finished'

/** A worker asks the primary what to work with, and the primary answers. */
export const ASK_SETTINGS = 'xaps.ask-settings'
export const SETTINGS = 'xaps.settings'

/** A worker reports what it has done. */
export const REPORT = 'xaps.report'

/** Whether `message`, which may be anything, is one of ours with that `event`. */
export function isEvent<E extends string>(message: unknown, event: E): message is Message<E> {
  return typeof message === 'object' && message !== null && 'event' in message && message.event === event
}
