/**
 * Sessions and streams as Node's HTTP/2 shows them to a client, and the module that opens them, in the place of `apns/client`.
 * Above them everything is the production's.
 */

import { EventEmitter } from 'node:events'
import type { Push } from '../../plugins/xaps/apns/payload.ts'
import type { Outcome } from '../../plugins/xaps/apns/request.ts'
import type { Clock } from '../../plugins/xaps/base/clock.ts'
import type { Apple, Arrival } from './apple.ts'
import type { Caller } from './database.ts'

/** One process's connection. Events come to it only while the process lives. */
export class Session extends EventEmitter {
  closed = false
  destroyed = false
  connecting = true
  remoteSettings: { maxConcurrentStreams?: number } = {}
  readonly #apple: Apple
  readonly #caller: Caller
  readonly process: string
  readonly #streams = new Set<Stream>()
  #early: (() => void)[] = []

  constructor(apple: Apple, caller: Caller, process: string) {
    super()
    this.#apple = apple
    this.#caller = caller
    this.process = process
    apple.sessions.add(this)
    caller.after(2 * apple.wayUs(), () => this.#connected())
  }

  #connected(): void {
    if (this.destroyed || this.#apple.trouble.blackHole) return
    if (this.#apple.trouble.refuses) return this.destroy('connect ECONNREFUSED')
    this.connecting = false
    this.allow(this.#apple.trouble.streams ?? 100)
    for (const send of this.#early.splice(0)) send()
  }

  /** Apple's SETTINGS. */
  allow(maxConcurrentStreams: number): void {
    this.#caller.after(this.#apple.wayUs(), () => {
      this.remoteSettings = { maxConcurrentStreams }
      this.emit('remoteSettings', this.remoteSettings)
    })
  }

  request(headers: Push['headers']): Stream {
    if (this.destroyed) throw new Error('The session has been destroyed')
    if (this.closed) throw new Error('New streams cannot be created after receiving a GOAWAY')
    const stream = new Stream()
    this.#streams.add(stream)
    stream.once('close', () => {
      this.#streams.delete(stream)
      if (this.closed && this.#streams.size === 0) this.destroy()
    })
    const send = () => this.#exchange(stream, headers)
    if (this.connecting) this.#early.push(send)
    else send()
    return stream
  }

  #exchange(stream: Stream, headers: Push['headers']): void {
    const apple = this.#apple
    const { scheduler } = apple.world
    scheduler.after(apple.wayUs(), () => {
      if (this.destroyed || apple.trouble.blackHole) return
      const arrival = apple.answerTo(this.process, headers, stream.body)
      const retryAfter = apple.retryAfter(arrival)
      apple.world.arrived(arrival)
      this.#caller.after(apple.wayUs(), () => {
        if (this.destroyed || stream.ended || apple.trouble.blackHole) return
        apple.world.answered(arrival)
        stream.answer(arrival, retryAfter)
      })
    })
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    if (this.#streams.size === 0) this.destroy()
  }

  destroy(reason = 'the session was destroyed'): void {
    if (this.destroyed) return
    this.destroyed = true
    this.closed = true
    this.#apple.sessions.delete(this)
    this.#caller.after(0, () => {
      for (const stream of [...this.#streams]) stream.fail(reason)
      this.emit('close')
    })
  }

  ping(answer: (error?: Error) => void): void {
    if (!this.#apple.trouble.blackHole) this.#caller.after(this.#apple.wayUs(), () => answer())
  }
}

export class Stream extends EventEmitter {
  body = ''
  rstCode = 0
  ended = false

  end(body: string): void {
    this.body = body
  }

  resume(): this {
    return this
  }

  setEncoding(): void {
    // Texts are what is emitted.
  }

  /** The client gives up. */
  close(code: number): void {
    this.rstCode = code
    this.#over()
  }

  fail(reason: string): void {
    if (this.ended) return
    this.rstCode = 8
    this.emit('error', new Error(reason))
    this.#over()
  }

  answer({ status, reason, timestamp }: Arrival, retryAfter: string | undefined): void {
    const more = retryAfter === undefined ? {} : { 'retry-after': retryAfter }
    this.emit('response', { ':status': status, ...more })
    if (status !== 200) this.emit('data', JSON.stringify({ reason, timestamp }))
    this.emit('end')
    this.#over()
  }

  #over(): void {
    if (this.ended) return
    this.ended = true
    this.emit('close')
  }
}

type Request = (session: Session, push: Push, timeoutMs: number, clock: Clock) => Promise<Outcome>

/** The module `apns/client` of one process. `request` is the production's. */
export function clientModule(apple: Apple, caller: Caller, process: string, request: () => Request) {
  class SimulatedClient {
    readonly clock: Clock
    readonly #endpoint: { readonly requestTimeoutMs: number }

    constructor(_credentials: unknown, endpoint: { readonly requestTimeoutMs: number }, clock: Clock) {
      this.clock = clock
      this.#endpoint = endpoint
    }

    get timeoutMs(): number {
      return this.#endpoint.requestTimeoutMs
    }

    async connect() {
      return { session: new Session(apple, caller, process), socket: { destroy: () => undefined } }
    }

    request(session: Session, push: Push): Promise<Outcome> {
      return request()(session, push, this.timeoutMs, this.clock)
    }

    async dispose(): Promise<void> {
      // It has no timers of its own.
    }
  }
  return { ApnClient: SimulatedClient }
}
