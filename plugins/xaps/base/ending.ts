/**
 * How long an orderly end may take, in milliseconds: one number, what each stage gets of it, and how long those wait that
 * stand around the process. The stages add up, and an outer wait is always longer than an inner one, so a stage that hangs
 * is cut off by its own limit and the stages after it still have their time.
 */

/** The whole of a process. */
const PROCESS_MS = 6_000

const share = (part: number) => PROCESS_MS * part

/** One after the other, in this order. A worker of Haraka's has no listeners and no spool. */
export const STAGES = {
  /** Requests in hand; each is answered within 700 ms. */
  listenersMs: share(1 / 6),
  spoolMs: share(1 / 6),
  /** Pushes that are pending. */
  pushesMs: share(1 / 2),
  storeMs: share(1 / 6),
} as const

/** A process that has not ended by then exits all the same. */
export const EXIT_AFTER_MS = PROCESS_MS + 500

/** A child that has not exited by then is killed, or left behind. */
export const KILL_AFTER_MS = EXIT_AFTER_MS + 500
