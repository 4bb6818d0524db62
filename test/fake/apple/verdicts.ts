/**
 * What the stand-in says instead of 200 to a push that has no fault of its own: to all, or to one device. Knows
 * nothing of connections.
 */

import { constants } from 'node:http2'
import { REASONS, type Reason, type Refusal } from './reasons.ts'

/** A refusal, no answer at all, or the stream reset with this HTTP/2 error code. */
export type Outcome = Refusal | 'silence' | { readonly resetCode: number }

export interface AnswerOptions extends Partial<Omit<Refusal, 'reason'>> {
  /** After that many pushes all is well again. Default: for ever. */
  readonly times?: number
}

interface Rule {
  readonly outcome: Outcome
  left: number
}

export class Verdicts {
  /** How long every answer takes, in milliseconds. */
  latencyMs = 0
  #everyone: Rule | undefined
  readonly #devices = new Map<string, Rule>()

  /** Answers every push with `reason` and the status that Apple gives with it, unless `options` has another. */
  answer(reason: Reason, options: AnswerOptions = {}): void {
    this.#everyone = rule(refusalOf(reason, options), options.times)
  }

  /** The same for one device token (in any case); it goes before what everyone is answered. */
  answerDevice(token: string, reason: Reason, options: AnswerOptions = {}): void {
    this.#devices.set(token.toLowerCase(), rule(refusalOf(reason, options), options.times))
  }

  /** Reads every push and never answers it; the connection lives, pings are answered. */
  hang(times?: number): void {
    this.#everyone = rule('silence', times)
  }

  /** Resets the stream of every push (RST_STREAM). */
  resetStreams(resetCode: number = constants.NGHTTP2_INTERNAL_ERROR, times?: number): void {
    this.#everyone = rule({ resetCode }, times)
  }

  /** What becomes of a push to `token` that breaks no rule; undefined: it is accepted. */
  outcome(token: string): Outcome | undefined {
    if (this.#everyone === undefined && this.#devices.size === 0) return undefined
    return spend(this.#devices.get(token.toLowerCase())) ?? spend(this.#everyone)
  }

  heal(): void {
    this.latencyMs = 0
    this.#everyone = undefined
    this.#devices.clear()
  }
}

function rule(outcome: Outcome, times = Number.POSITIVE_INFINITY): Rule {
  return { outcome, left: times }
}

function spend(rule: Rule | undefined): Outcome | undefined {
  if (!rule || rule.left <= 0) return undefined
  rule.left--
  return rule.outcome
}

function refusalOf(reason: Reason, { times: _, ...given }: AnswerOptions): Refusal {
  const timestamp = REASONS[reason] === 410 ? { timestamp: Date.now() } : {}
  return { status: REASONS[reason], reason, ...timestamp, ...given }
}
