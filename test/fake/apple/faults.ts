/**
 * Everything that can go wrong at Apple or on the way there, each by one method while the stand-in runs, and all of
 * it undone by `heal`. What is said instead of 200 is kept here; connections and network are broken by their owners.
 */

import { constants } from 'node:http2'
import type { Connections } from './connection.ts'
import type { Gate } from './gate.ts'
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

export class Faults {
  #latencyMs = 0
  #everyone: Rule | undefined
  readonly #devices = new Map<string, Rule>()
  readonly #connections: Connections
  readonly #gate: Gate | undefined
  readonly #usualLimit: number

  constructor(connections: Connections, gate: Gate | undefined) {
    this.#connections = connections
    this.#gate = gate
    this.#usualLimit = connections.limit
  }

  get latencyMs(): number {
    return this.#latencyMs
  }

  /** What becomes of a push to `token` that breaks no rule; undefined: it is accepted. */
  outcome(token: string): Outcome | undefined {
    return spend(this.#devices.get(token.toLowerCase())) ?? spend(this.#everyone)
  }

  /** Every answer takes `ms` milliseconds. */
  latency(ms: number): void {
    this.#latencyMs = ms
  }

  /** Every push that breaks no rule is refused for `reason`, with its status unless `options` has another. */
  answer(reason: Reason, { times, ...given }: AnswerOptions = {}): void {
    this.#everyone = rule(refusalOf(reason, given), times)
  }

  /** The same for one device token, in any case; it goes before what every push is answered. */
  answerDevice(token: string, reason: Reason, { times, ...given }: AnswerOptions = {}): void {
    this.#devices.set(token.toLowerCase(), rule(refusalOf(reason, given), times))
  }

  /** Pushes are read and never answered; the connections live on. With `times`, only so many. */
  hang(times?: number): void {
    this.#everyone = rule('silence', times)
  }

  /** The stream of every push is reset (RST_STREAM). With `times`, only so many. */
  resetStreams(resetCode: number = constants.NGHTTP2_INTERNAL_ERROR, times?: number): void {
    this.#everyone = rule({ resetCode }, times)
  }

  /** GOAWAY on all open connections, with an error, and closed at once: what is in flight is lost. */
  goAway(): void {
    for (const { session } of this.#connections.open) {
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, shutdown())
      // The frame is written at the end of this turn; destroyed earlier, the session would send its own.
      setImmediate(() => session.destroy())
    }
  }

  /** GOAWAY without an error on all open connections: what is in flight is answered, then they are closed. */
  goAwayGracefully(): void {
    for (const { session } of this.#connections.open) {
      session.goaway(constants.NGHTTP2_NO_ERROR, 0, shutdown())
      session.close()
    }
  }

  /** All open connections are reset (TCP RST). */
  resetConnections(): void {
    this.#network().reset()
  }

  /** No byte comes through on open connections, and with `all` on new ones; none is closed. Pings die too. */
  blackHole(which: 'all' | 'open' = 'all'): void {
    this.#network().swallow(which)
  }

  /** No listener: open connections are reset, new ones refused. `heal` listens on the same port again. */
  refuse(): Promise<void> {
    return this.#network().refuse()
  }

  /** The TLS handshake of a new connection begins only after `ms` milliseconds. */
  slowStart(ms: number): void {
    this.#network().delay(ms)
  }

  /** So many concurrent streams per connection, told to open ones at once. */
  streamLimit(streams: number): void {
    this.#connections.setLimit(streams)
  }

  /** All is well again. Resolves when connections are accepted. */
  async heal(): Promise<void> {
    this.#latencyMs = 0
    this.#everyone = undefined
    this.#devices.clear()
    this.#connections.setLimit(this.#usualLimit)
    await this.#gate?.heal()
  }

  #network(): Gate {
    if (!this.#gate) throw new Error('the stand-in was started with gate: false, it has no network to break')
    return this.#gate
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

function refusalOf(reason: Reason, given: Partial<Refusal>): Refusal {
  const timestamp = REASONS[reason] === 410 ? { timestamp: Date.now() } : {}
  return { status: REASONS[reason], reason, ...timestamp, ...given }
}

/** The debug data of a GOAWAY, in Apple's form. */
function shutdown(): Buffer {
  return Buffer.from(JSON.stringify({ reason: 'Shutdown', timestamp: Date.now() }))
}
