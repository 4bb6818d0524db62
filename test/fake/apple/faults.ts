/**
 * Everything that can go wrong at Apple or on the way there, each by one method while the stand-in runs, and all of
 * it undone by `heal`. Only puts together what verdicts.ts, gate.ts and the connections can do.
 */

import { constants } from 'node:http2'
import type { Connection } from './connection.ts'
import type { Gate } from './gate.ts'
import type { Reason } from './reasons.ts'
import type { AnswerOptions, Verdicts } from './verdicts.ts'

export interface GoAwayOptions {
  /** What Apple writes into the frame's debug data: `{"reason":"…"}`. Default: Shutdown. */
  readonly reason?: Reason
  /** HTTP/2 error code. Default: ENHANCE_YOUR_CALM for `goAway`. */
  readonly code?: number
  /** The last stream that was processed; the client may send the later ones again. Default: the last one seen. */
  readonly lastStream?: number
}

/** The connections as faults need them. */
export interface Connections {
  readonly open: ReadonlySet<Connection>
  /** Concurrent streams per connection, now and in future. */
  setLimit(streams: number): void
}

export class Faults {
  readonly #verdicts: Verdicts
  readonly #connections: Connections
  readonly #gate: Gate | undefined
  readonly #usualLimit: number

  constructor(verdicts: Verdicts, connections: Connections, gate: Gate | undefined, usualLimit: number) {
    this.#verdicts = verdicts
    this.#connections = connections
    this.#gate = gate
    this.#usualLimit = usualLimit
  }

  /** Every answer takes `ms` milliseconds. */
  latency(ms: number): void {
    this.#verdicts.latencyMs = ms
  }

  /** Every push that breaks no rule is refused for `reason`. */
  answer(reason: Reason, options?: AnswerOptions): void {
    this.#verdicts.answer(reason, options)
  }

  /** Every push to this device is refused for `reason`. */
  answerDevice(token: string, reason: Reason, options?: AnswerOptions): void {
    this.#verdicts.answerDevice(token, reason, options)
  }

  /** Pushes are read and never answered; the connections live on. With `times`, only so many. */
  hang(times?: number): void {
    this.#verdicts.hang(times)
  }

  /** The stream of every push is reset. With `times`, only so many. */
  resetStreams(code?: number, times?: number): void {
    this.#verdicts.resetStreams(code, times)
  }

  /** GOAWAY on all open connections, with an error, and closed at once: what is in flight is lost. */
  goAway(options: GoAwayOptions = {}): void {
    const { code = constants.NGHTTP2_ENHANCE_YOUR_CALM } = options
    for (const { session } of this.#connections.open) {
      session.goaway(code, options.lastStream ?? 0, debugData(options))
      // The frame is written at the end of this turn; destroyed earlier, the session would send its own.
      setImmediate(() => session.destroy())
    }
  }

  /** GOAWAY without an error on all open connections: what is in flight is answered, then they are closed. */
  goAwayGracefully(options: GoAwayOptions = {}): void {
    for (const { session } of this.#connections.open) {
      session.goaway(options.code ?? constants.NGHTTP2_NO_ERROR, options.lastStream ?? 0, debugData(options))
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

  /** Nobody listens: open connections are reset, new ones refused. `heal` listens on the same port again. */
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
    this.#verdicts.heal()
    this.#connections.setLimit(this.#usualLimit)
    await this.#gate?.heal()
  }

  #network(): Gate {
    if (!this.#gate) throw new Error('the stand-in was started with gate: false, it has no network to break')
    return this.#gate
  }
}

function debugData({ reason = 'Shutdown' }: GoAwayOptions): Buffer {
  return Buffer.from(JSON.stringify({ reason, timestamp: Date.now() }))
}
