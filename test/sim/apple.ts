/**
 * The simulated Apple: sessions and streams as Node's HTTP/2 shows them to a client, and answers as Apple gives them, in good
 * and bad times. It stands below the production's own request, connection and transport, in the place of `apns/client`.
 */

import { EventEmitter } from 'node:events'
import type { Push } from '../../plugins/xaps/apns/payload.ts'
import type { Outcome } from '../../plugins/xaps/apns/request.ts'
import type { Clock } from '../../plugins/xaps/base/clock.ts'
import type { Caller } from './database.ts'
import { MS, type Scheduler, SECOND } from './scheduler.ts'

/** What is wrong at Apple, or on the way to it. */
export interface AppleTrouble {
  /** Answers of these kinds to so many pushes in a hundred. */
  readonly answers?: readonly (readonly [status: number, reason: string, retryAfterS?: number])[]
  readonly percent?: number
  /** No answer comes, and no connection. */
  readonly blackHole?: boolean
  readonly refuses?: boolean
  /** The time to an answer, in microseconds at most. */
  readonly slowUs?: number
  /** Streams that a session may have at a time. */
  readonly streams?: number
}

/** A push that has reached Apple. */
export interface Arrival {
  readonly process: string
  readonly token: string
  readonly account: string
  /** When it began, as the plugin counts it, and when it came here. */
  readonly startedUs: number
  readonly at: number
  readonly status: number
  readonly reason: string
  readonly timestamp: number | undefined
}

export interface AppleWorld {
  readonly scheduler: Scheduler
  /** Apple's own clock, in ms since the epoch. */
  now(): number
  /** Since when the token is dead, ms since the epoch. */
  deadSince(token: string): number | undefined
  arrived(arrival: Arrival): void
  /** The answer has come back to the process that sent the push. */
  answered(arrival: Arrival): void
}

/** The header in which the simulation keeps when a push began. */
export const STARTED = 'x-started'

export class Apple {
  trouble: AppleTrouble = {}
  readonly world: AppleWorld
  readonly sessions = new Set<Session>()

  constructor(world: AppleWorld) {
    this.world = world
  }

  /** The time of one way, in microseconds. */
  wayUs(): number {
    const { scheduler } = this.world
    const most = this.trouble.slowUs ?? 60 * MS
    return scheduler.between(most / 20, most / 2)
  }

  /** Ends all sessions: in good order, or with what is in flight. */
  endSessions(isOrderly: boolean): void {
    for (const session of [...this.sessions]) {
      if (isOrderly) session.close()
      else session.destroy()
    }
  }

  limitStreams(most: number): void {
    for (const session of this.sessions) session.allow(most)
  }

  /** The answer to a push, as of now. */
  answerTo(process: string, headers: Push['headers'], body: string): Arrival {
    const { scheduler } = this.world
    const token = String(headers[':path']).slice('/3/device/'.length)
    const account = JSON.parse(body).aps['account-id']
    const at = scheduler.now
    const startedUs = Number(headers[STARTED])
    const { answers = [], percent = 0 } = this.trouble
    const since = this.world.deadSince(token)
    const base = { process, token, account, startedUs, at, timestamp: undefined }
    if (scheduler.random.below(100) < percent && answers.length > 0) {
      const [status, reason] = scheduler.random.pick(answers)
      return { ...base, status, reason }
    }
    if (since === undefined) return { ...base, status: 200, reason: '' }
    // Apple's word on a dead token is either of the two.
    if (scheduler.random.below(5) === 0) return { ...base, status: 400, reason: 'BadDeviceToken' }
    return { ...base, status: 410, reason: 'Unregistered', timestamp: since }
  }

  retryAfter({ status, reason }: Arrival): string | undefined {
    const seconds = this.trouble.answers?.find(([s, r]) => s === status && r === reason)?.[2]
    return seconds === undefined ? undefined : String(seconds)
  }
}

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
export function clientModule(apple: () => Apple, caller: Caller, process: string, request: () => Request) {
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
      return { session: new Session(apple(), caller, process), socket: { destroy: () => undefined } }
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

/** The longest that a way may take in bad times. */
export const SLOW_US = 8 * SECOND
