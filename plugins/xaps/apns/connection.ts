/**
 * One connection to Apple, from its first push to its end. Keeps to the number of streams that the peer takes, one
 * until the first answer, tells a fault of one push from the death of the connection, and ends without hanging, whatever
 * the peer does. Knows no credentials, and no device.
 */

import type { Timer } from '../base/clock.ts'
import { reasonOf } from '../base/log.ts'
import { Queue } from '../base/queue.ts'
import type { ApnClient, RawConnection } from './client.ts'
import type { Push } from './payload.ts'
import type { Fault, Outcome } from './request.ts'
import { type Answer, type Verdict, verdictOf } from './verdict.ts'

/** Apple asks for a ping after an idle hour; firewalls forget an idle connection sooner. */
export const PING_EVERY_MS = 10 * 60_000

/** A peer that has just cut the number of its streams refuses those that were on their way; so often a push is sent at most. */
const MOST_TRIES = 3

/** What a waiting push is told: a stream is free, to use another connection, or its verdict without being sent. */
type Admission = 'send' | 'sendOnAnother' | Verdict

/** The verdict on a push whose connection is of no use. */
export function connectionLost(reason: string): Verdict {
  return { kind: 'broken connection', reason }
}

export class Connection {
  /** Resolves when nothing is left of the connection, not even the socket. */
  readonly ended: Promise<void>
  readonly #client: ApnClient
  readonly #sendOnAnother: (push: Push) => Promise<Verdict>
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

  /** Begins to connect. `sendOnAnother` sends a push that this connection does not take any more. */
  constructor(client: ApnClient, sendOnAnother: (push: Push) => Promise<Verdict>) {
    this.#client = client
    this.#sendOnAnother = sendOnAnother
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

  /** Sends `push` when a stream is free, and judges what came of it; the connection must be open. Never rejects. */
  async send(push: Push, tries = 1): Promise<Verdict> {
    if (this.#hasRoom()) this.#inFlight += 1
    else {
      const admission = await new Promise<Admission>(resolve => this.#waiting.push(resolve))
      if (admission === 'sendOnAnother') return this.#sendOnAnother(push)
      if (admission !== 'send') return admission
    }
    const sentAt = this.#client.clock.now()
    const outcome = await this.#request(push)
    this.#inFlight -= 1
    if ('fault' in outcome && outcome.refused && this.open && tries < MOST_TRIES)
      return this.send(push, tries + 1)
    const verdict = 'fault' in outcome ? this.#fault(outcome, sentAt) : this.#answer(outcome, sentAt)
    this.#admitWaiting()
    return verdict
  }

  /** Takes no more pushes and ends when those in flight have: by their answers, or by the time that they have. */
  retire(): void {
    this.#refuseFurther('sendOnAnother')
    this.#end(this.#client.timeoutMs)
  }

  /** Ends within `graceMs` milliseconds; pushes that are still in flight or wait by then count as lost with it. */
  close(graceMs: number): void {
    this.#refuseFurther(connectionLost('the connection was closed'))
    this.#end(graceMs)
  }

  #use(raw: RawConnection): RawConnection & { readonly closed: Promise<void> } {
    const { session } = raw
    this.#raw = raw
    this.#pingLater()
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

  /** What an answer to a push sent at `sentAt` says, also about the connection. */
  #answer(answer: Answer, sentAt: number): Verdict {
    const verdict = verdictOf(answer, sentAt)
    const isFirst = !this.#authenticated
    this.#answeredAt = this.#client.clock.now()
    if (answer.status !== 403) this.#authenticated = true
    // Refused credentials are refused to all that wait: there is no need to ask for each.
    else if (isFirst) this.#tellWaiting(verdict)
    if (answer.reason !== 'IdleTimeout') return verdict
    // Idle before the first push: the next connection would be no better.
    if (isFirst) this.#fail(connectionLost(answer.reason))
    else this.retire()
    return verdict
  }

  /** Whether a push sent at `sentAt` met a fault of its own, or the death of the connection. */
  #fault({ fault, timedOut }: Fault, sentAt: number): Verdict {
    const noneSince = this.#answeredAt <= sentAt
    if (!this.#authenticated || this.#raw?.session.destroyed || (timedOut && noneSince)) {
      return this.#fail(connectionLost(fault))
    }
    if (timedOut) this.retire()
    return { kind: 'broken stream', reason: fault }
  }

  /** Nothing more comes over this connection: `verdict` for all that wait. Returns it. */
  #fail(verdict: Verdict): Verdict {
    this.#refuseFurther(verdict)
    this.#destroy()
    return verdict
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
    this.#deadline = this.#client.clock.after(graceMs, () => this.#destroy())
    if (!session.closed) session.close()
  }

  #destroy(): void {
    this.#raw?.session.destroy()
    // The session ends the socket in good order, which a dead peer would never let happen.
    this.#raw?.socket.destroy()
  }

  #pingLater(): void {
    this.#ping = this.#client.clock.after(PING_EVERY_MS, () => this.#pingNow())
  }

  #pingNow(): void {
    const session = this.#raw?.session
    if (!session || session.closed || session.destroyed) return
    this.#pingLater()
    const deadline = this.#client.clock.after(this.#client.timeoutMs, () => this.#destroy())
    session.ping(error => {
      deadline.cancel()
      if (error) this.#destroy()
    })
  }
}
