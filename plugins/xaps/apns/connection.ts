/**
 * One connection to Apple, from its first push to its end. Keeps to the number of streams that the peer takes, one
 * until the first answer, tells a fault of one push from the death of the connection, and ends without hanging, whatever
 * the peer does. Knows no credentials, and nothing of what Apple's answer means for a device.
 */

import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { reasonOf } from '../base/log.ts'
import { Queue } from '../base/queue.ts'
import type { ApnClient, RawConnection } from './client.ts'
import type { Push } from './payload.ts'
import type { Outcome } from './request.ts'
import type { Answer, Fault } from './verdict.ts'

/** Apple asks for a ping after an idle hour; firewalls forget an idle connection sooner. */
export const PING_EVERY_MS = 10 * 60_000

/** What a waiting push is told: a stream is free, an answer that it gets unsent, or to use another connection. */
type Admission = 'send' | 'sendOnAnother' | Answer

export class Connection {
  /** Resolves when nothing is left of the connection, not even the socket. */
  readonly ended: Promise<void>
  readonly #client: Pick<ApnClient, 'connect' | 'request'>
  readonly #sendOnAnother: (push: Push) => Promise<Answer>
  readonly #timeoutMs: number
  readonly #clock: Clock
  readonly #connecting: Promise<RawConnection & { readonly closed: Promise<void> }>
  #raw: RawConnection | undefined
  readonly #waiting = new Queue<(admission: Admission) => void>()
  #inFlight = 0
  /** Whether Apple has accepted our credentials: until then it allows one stream. */
  #authenticated = false
  #retired = false
  #answeredAt = Number.NEGATIVE_INFINITY
  #ping: Timer | undefined
  #deadline: Timer | undefined

  /**
   * Begins to connect. `sendOnAnother` sends a push that this connection does not take any more; `timeoutMs`: how long a
   * push may take, and a ping.
   */
  constructor(
    client: Pick<ApnClient, 'connect' | 'request'>,
    sendOnAnother: (push: Push) => Promise<Answer>,
    timeoutMs: number,
    clock: Clock = systemClock,
  ) {
    this.#client = client
    this.#sendOnAnother = sendOnAnother
    this.#timeoutMs = timeoutMs
    this.#clock = clock
    this.#connecting = client.connect().then(raw => this.#use(raw))
    this.ended = this.#connecting.then(
      ({ closed }) => closed,
      () => undefined,
    )
  }

  /** Whether pushes may be given to it. */
  get open(): boolean {
    return !this.#retired && !this.#raw?.session.closed && !this.#raw?.session.destroyed
  }

  /** Sends `push` when a stream is free; the connection must be open. Never rejects. */
  async send(push: Push): Promise<Answer> {
    if (this.#hasRoom()) this.#inFlight += 1
    else {
      const admission = await new Promise<Admission>(resolve => this.#waiting.push(resolve))
      if (admission === 'sendOnAnother') return this.#sendOnAnother(push)
      if (admission !== 'send') return admission
    }
    const sentAt = this.#clock.now()
    const outcome = await this.#request(push)
    this.#inFlight -= 1
    const answer = this.#judge(outcome, sentAt)
    this.#admitWaiting()
    return answer
  }

  /** Takes no more pushes and ends when those in flight have: by their answers, or by the time that they have. */
  retire(): void {
    this.#refuseFurther('sendOnAnother')
    this.#end(this.#timeoutMs)
  }

  /** Ends within `graceMs` milliseconds; pushes that are still in flight or wait by then get a fault. */
  close(graceMs: number): void {
    this.#refuseFurther({ fault: 'the connection was closed', of: 'connection' })
    this.#end(graceMs)
  }

  #use(raw: RawConnection): RawConnection & { readonly closed: Promise<void> } {
    const { session } = raw
    this.#raw = raw
    this.#ping = this.#clock.after(PING_EVERY_MS, () => this.#pingNow())
    const closed = new Promise<void>(resolve => {
      session.once('close', () => {
        this.#ping?.cancel()
        this.#deadline?.cancel()
        resolve()
      })
    })
    session.on('remoteSettings', () => this.#admitWaiting())
    if (this.#retired) this.#destroy()
    return { ...raw, closed }
  }

  #request(push: Push): Promise<Outcome> {
    return this.#raw ? this.#client.request(this.#raw.session, push) : this.#requestWhenConnected(push)
  }

  async #requestWhenConnected(push: Push): Promise<Outcome> {
    try {
      const { session } = await this.#connecting
      return await this.#client.request(session, push)
    } catch (error) {
      return { fault: reasonOf(error), timedOut: false }
    }
  }

  #hasRoom(): boolean {
    const most = this.#raw?.session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY
    return this.#inFlight < (this.#raw && this.#authenticated ? Math.max(1, most) : 1)
  }

  #admitWaiting(): void {
    if (!this.open) this.#tellWaiting('sendOnAnother')
    while (this.#waiting.size > 0 && this.#hasRoom()) {
      this.#inFlight += 1
      this.#waiting.shift()?.('send')
    }
  }

  /** What `outcome`, of a push sent at `sentAt`, says about the connection. */
  #judge(outcome: Outcome, sentAt: number): Answer {
    if ('status' in outcome) {
      this.#answered(outcome)
      return outcome
    }
    const noneSince = this.#answeredAt <= sentAt
    const dead = !this.#authenticated || this.#raw?.session.destroyed || (outcome.timedOut && noneSince)
    const answer: Fault = { fault: outcome.fault, of: dead ? 'connection' : 'stream' }
    if (dead) this.#fail(answer)
    else if (outcome.timedOut) this.retire()
    return answer
  }

  #answered(answer: Extract<Answer, { status: number }>): void {
    const isFirst = !this.#authenticated
    this.#answeredAt = this.#clock.now()
    if (answer.status !== 403) this.#authenticated = true
    // Refused credentials are refused to all that wait: there is no need to ask for each.
    else if (isFirst) this.#tellWaiting(answer)
    if (answer.reason !== 'IdleTimeout') return
    // Idle before the first push: the next connection would be no better.
    if (isFirst) this.#fail({ fault: answer.reason, of: 'connection' })
    else this.retire()
  }

  /** Nothing more comes over this connection. */
  #fail(answer: Fault): void {
    this.#refuseFurther(answer)
    this.#destroy()
  }

  #refuseFurther(admission: Admission): void {
    this.#retired = true
    this.#tellWaiting(admission)
  }

  #tellWaiting(admission: Admission): void {
    while (this.#waiting.size > 0) this.#waiting.shift()?.(admission)
  }

  /** Lets the pushes in flight finish for `graceMs` milliseconds. */
  #end(graceMs: number): void {
    const session = this.#raw?.session
    if (!session || session.connecting) return this.#destroy()
    this.#deadline?.cancel()
    this.#deadline = this.#clock.after(graceMs, () => this.#destroy())
    if (!session.closed) session.close()
  }

  #destroy(): void {
    this.#raw?.session.destroy()
    // The session ends the socket in good order, which a dead peer would never let happen.
    this.#raw?.socket.destroy()
  }

  #pingNow(): void {
    const session = this.#raw?.session
    if (!session || session.closed || session.destroyed) return
    this.#ping = this.#clock.after(PING_EVERY_MS, () => this.#pingNow())
    const deadline = this.#clock.after(this.#timeoutMs, () => this.#destroy())
    session.ping(error => {
      deadline.cancel()
      if (error) this.#destroy()
    })
  }
}
