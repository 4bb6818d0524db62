/**
 * One connection to Apple, from its first push to its end. Keeps to the number of streams that the peer takes, one
 * until the first answer, and tells a fault of one push from the death of the connection. Knows no credentials, and
 * nothing of what Apple's answer means for a device.
 */

import { type Clock, systemClock } from '../base/clock.ts'
import { reasonOf } from '../base/log.ts'
import { Queue } from '../base/queue.ts'
import type { ApnClient } from './client.ts'
import type { Push } from './payload.ts'
import type { Outcome } from './request.ts'
import { Session } from './session.ts'
import type { Answer, Fault } from './verdict.ts'

/** What a push that waits for its turn is told: go, or the answer it gets instead; none: elsewhere. */
type Turn = 'go' | { readonly instead: Answer | undefined }

export class Connection {
  /** Resolves when nothing is left of the connection. */
  readonly ended: Promise<void>
  readonly #client: Pick<ApnClient, 'connect' | 'request'>
  readonly #elsewhere: (push: Push) => Promise<Answer>
  readonly #timeoutMs: number
  readonly #clock: Clock
  readonly #opening: Promise<Session>
  #session: Session | undefined
  readonly #waiting = new Queue<(turn: Turn) => void>()
  #inFlight = 0
  /** Whether Apple has taken our credentials: until then it allows one stream. */
  #proven = false
  #retired = false
  #answeredAt = Number.NEGATIVE_INFINITY

  /**
   * Begins to connect. `elsewhere` sends a push that this connection does not take any more; `timeoutMs`: how long a
   * push may take, and a ping.
   */
  constructor(
    client: Pick<ApnClient, 'connect' | 'request'>,
    elsewhere: (push: Push) => Promise<Answer>,
    timeoutMs: number,
    clock: Clock = systemClock,
  ) {
    this.#client = client
    this.#elsewhere = elsewhere
    this.#timeoutMs = timeoutMs
    this.#clock = clock
    this.#opening = this.#connect()
    this.ended = this.#opening.then(
      session => session.ended,
      () => undefined,
    )
  }

  /** Whether pushes may be given to it. */
  get open(): boolean {
    return !this.#retired && (this.#session?.open ?? true)
  }

  /** Sends `push` when it is its turn; the connection must be open. Never rejects. */
  async send(push: Push): Promise<Answer> {
    if (this.#hasRoom()) this.#inFlight += 1
    else {
      const turn = await new Promise<Turn>(resolve => this.#waiting.push(resolve))
      if (turn !== 'go') return turn.instead ?? this.#elsewhere(push)
    }
    const sentAt = this.#clock.now()
    const outcome = await this.#request(push)
    this.#inFlight -= 1
    const answer = this.#judge(outcome, sentAt)
    this.#callNext()
    return answer
  }

  /** Takes no more pushes and ends when those in flight have: by their answers, or by the time that they have. */
  retire(): void {
    this.#stop(undefined)
    this.#session?.close(this.#timeoutMs)
  }

  /** Ends within `graceMs` milliseconds; what is still in flight or waits by then gets no answer. */
  close(graceMs: number): void {
    this.#stop({ fault: 'the connection was closed', of: 'connection' })
    this.#session?.close(graceMs)
  }

  async #connect(): Promise<Session> {
    const session = new Session(await this.#client.connect(), this.#timeoutMs, this.#clock)
    this.#session = session
    session.http2.on('remoteSettings', () => this.#callNext())
    if (this.#retired) session.destroy()
    return session
  }

  #request(push: Push): Promise<Outcome> {
    return this.#session ? this.#client.request(this.#session.http2, push) : this.#requestWhenOpen(push)
  }

  async #requestWhenOpen(push: Push): Promise<Outcome> {
    try {
      const { http2 } = await this.#opening
      return await this.#client.request(http2, push)
    } catch (error) {
      return { fault: reasonOf(error), timedOut: false }
    }
  }

  #hasRoom(): boolean {
    return this.#inFlight < (this.#proven ? (this.#session?.streams ?? 1) : 1)
  }

  /** Lets those who wait go, as far as there is room. */
  #callNext(): void {
    if (this.#waiting.size > 0 && !this.open) this.#tellWaiting(undefined)
    while (this.#waiting.size > 0 && this.#hasRoom()) {
      this.#inFlight += 1
      this.#waiting.shift()?.('go')
    }
  }

  /** What `outcome`, of a push sent at `sentAt`, says about the connection. */
  #judge(outcome: Outcome, sentAt: number): Answer {
    if ('status' in outcome) {
      this.#heard(outcome)
      return outcome
    }
    const dead = !this.#proven || this.#session?.destroyed || (outcome.timedOut && this.#answeredAt <= sentAt)
    const answer: Fault = { fault: outcome.fault, of: dead ? 'connection' : 'stream' }
    if (dead) this.#bury(answer)
    else if (outcome.timedOut) this.retire()
    return answer
  }

  #heard(answer: Extract<Answer, { status: number }>): void {
    const isFirst = !this.#proven
    this.#answeredAt = this.#clock.now()
    if (answer.status !== 403) this.#proven = true
    // Refused credentials are refused to all who wait: there is no need to ask for each.
    else if (!this.#proven) this.#tellWaiting(answer)
    if (answer.reason !== 'IdleTimeout') return
    // Idle before the first push: the next connection would be no better.
    if (isFirst) this.#bury({ fault: answer.reason, of: 'connection' })
    else this.retire()
  }

  /** Nothing more comes over this connection. */
  #bury(answer: Fault): void {
    this.#stop(answer)
    this.#session?.destroy()
  }

  #stop(instead: Answer | undefined): void {
    this.#retired = true
    this.#tellWaiting(instead)
  }

  #tellWaiting(instead: Answer | undefined): void {
    while (this.#waiting.size > 0) this.#waiting.shift()?.({ instead })
  }
}
