/**
 * What follows from a verdict. One table: a row per kind of verdict says what the circuit breaker, the device's pending
 * entry and the store do, how `xaps check` counts it, and how an operator is told. Pure. The other table,
 * apns/verdict.ts, says what an answer of Apple's means.
 */

import type { Verdict, VerdictKind } from '../apns/verdict.ts'

/** Why pushes wait: `connection` no answer, `busy` Apple asks to wait, `setup` an operator has to repair it. */
export type TroubleKind = 'connection' | 'busy' | 'setup'

export interface Consequence {
  /**
   * `answered`: Apple works. `count`: this push failed by itself, and many such open the breaker. `open`: all would
   * fail, the breaker opens at once.
   */
  readonly breaker: 'answered' | readonly ['count' | 'open', TroubleKind]
  /** `done`: these events need no other push. `backOff`: this device alone waits. `retry`: as soon as the breaker lets it. */
  readonly entry: 'done' | 'backOff' | 'retry'
  /** `removeIfOthersAccepted`: only when Apple accepted other devices lately with the same credentials. */
  readonly store: 'keep' | 'remove' | 'removeIfOthersAccepted'
  /** The result of `xaps check`, whose device token belongs to no phone. */
  readonly check: 'ok' | 'warn' | 'FAIL'
}

/** The table. */
const CONSEQUENCES: Readonly<Record<VerdictKind, Consequence>> = {
  sent: { breaker: 'answered', entry: 'done', store: 'keep', check: 'ok' },
  gone: { breaker: 'answered', entry: 'done', store: 'remove', check: 'ok' },
  'refused token': { breaker: 'answered', entry: 'done', store: 'removeIfOthersAccepted', check: 'ok' },
  'refused device': { breaker: 'answered', entry: 'done', store: 'keep', check: 'ok' },
  'refused setup': { breaker: ['open', 'setup'], entry: 'retry', store: 'keep', check: 'FAIL' },
  'later device': { breaker: 'answered', entry: 'backOff', store: 'keep', check: 'warn' },
  'later push': { breaker: ['count', 'busy'], entry: 'backOff', store: 'keep', check: 'warn' },
  'later all': { breaker: ['open', 'busy'], entry: 'retry', store: 'keep', check: 'warn' },
  'broken stream': { breaker: ['count', 'connection'], entry: 'backOff', store: 'keep', check: 'FAIL' },
  'broken connection': { breaker: ['open', 'connection'], entry: 'retry', store: 'keep', check: 'FAIL' },
}

export function consequenceOf({ kind }: Verdict): Consequence {
  return CONSEQUENCES[kind]
}

/** The verdict in a few words, for an operator. */
export function inWords({ kind, reason, since }: Verdict): string {
  if (kind === 'sent') return 'accepted by Apple'
  if (since !== undefined) return `gone since ${new Date(since).toISOString()}`
  if (kind.startsWith('later')) return `not now: ${reason}`
  return kind.startsWith('broken') ? `no answer: ${reason}` : `refused: ${reason}`
}
