/**
 * What follows from a verdict. One table: a row per kind of verdict says what the circuit breaker, the device's pending
 * entry and the store do, and how `xaps check` counts it. Pure. The other table,
 * apns/verdict.ts, says what an answer of Apple's means.
 */

import type { Verdict } from '../apns/verdict.ts'

export interface Consequence {
  /**
   * `answered`: Apple works. `count`: this push failed by itself, and many such open the breaker. `open`: all would
   * fail, the breaker opens at once.
   */
  readonly breaker: 'answered' | 'count' | 'open'
  /** Why the breaker opens: `connection` no answer, `busy` Apple asks to wait, `setup` an operator has to repair it. */
  readonly trouble?: 'connection' | 'busy' | 'setup'
  /** `done`: these events need no other push. `backOff`: this device alone waits. `retry`: as soon as the breaker lets it. */
  readonly entry: 'done' | 'backOff' | 'retry'
  /** `removeIfOthersAccepted`: only when Apple accepted other devices lately with the same credentials. */
  readonly store: 'keep' | 'remove' | 'removeIfOthersAccepted'
  /** The result of `xaps check`, whose device token belongs to no phone. */
  readonly check: 'ok' | 'warn' | 'FAIL'
}

type Row =
  | 'sent'
  | 'gone'
  | `later ${Extract<Verdict, { kind: 'later' }>['whom']}`
  | `refused ${Extract<Verdict, { kind: 'refused' }>['fault']}`
  | `broken ${Extract<Verdict, { kind: 'broken' }>['of']}`

/** The table. */
const CONSEQUENCES: Readonly<Record<Row, Consequence>> = {
  sent: { breaker: 'answered', entry: 'done', store: 'keep', check: 'ok' },
  gone: { breaker: 'answered', entry: 'done', store: 'remove', check: 'ok' },
  'refused token': { breaker: 'answered', entry: 'done', store: 'removeIfOthersAccepted', check: 'ok' },
  'refused device': { breaker: 'answered', entry: 'done', store: 'keep', check: 'ok' },
  'refused setup': { breaker: 'open', trouble: 'setup', entry: 'retry', store: 'keep', check: 'FAIL' },
  'later device': { breaker: 'answered', entry: 'backOff', store: 'keep', check: 'warn' },
  'later push': { breaker: 'count', trouble: 'busy', entry: 'backOff', store: 'keep', check: 'warn' },
  'later all': { breaker: 'open', trouble: 'busy', entry: 'retry', store: 'keep', check: 'warn' },
  'broken stream': {
    breaker: 'count',
    trouble: 'connection',
    entry: 'backOff',
    store: 'keep',
    check: 'FAIL',
  },
  'broken connection': {
    breaker: 'open',
    trouble: 'connection',
    entry: 'retry',
    store: 'keep',
    check: 'FAIL',
  },
}

export function consequenceOf(verdict: Verdict): Consequence {
  return CONSEQUENCES[rowOf(verdict)]
}

function rowOf(verdict: Verdict): Row {
  switch (verdict.kind) {
    case 'later':
      return `later ${verdict.whom}`
    case 'refused':
      return `refused ${verdict.fault}`
    case 'broken':
      return `broken ${verdict.of}`
    default:
      return verdict.kind
  }
}

/** The verdict in a few words, for an operator. */
export function inWords(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'sent':
      return 'accepted by Apple'
    case 'gone':
      return `gone since ${new Date(verdict.since).toISOString()}`
    case 'later':
      return `not now: ${verdict.reason}`
    case 'refused':
      return `refused: ${verdict.reason}`
    case 'broken':
      return `no answer: ${verdict.reason}`
  }
}
