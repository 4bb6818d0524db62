/**
 * An HTTP/2 session that is noticed to be dead and that ends without hanging, whatever the peer does or leaves undone.
 * Knows nothing of pushes.
 */

import type { ClientHttp2Session } from 'node:http2'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import type { RawConnection } from './client.ts'

/** Apple asks for a ping after an idle hour; firewalls forget an idle connection sooner. */
export const PING_EVERY_MS = 10 * 60_000

export class Session {
  readonly http2: ClientHttp2Session
  /** Resolves when nothing is left of it, not even the socket. */
  readonly ended: Promise<void>
  readonly #clock: Clock
  readonly #pingTimeoutMs: number
  readonly #socket: RawConnection['socket']
  #ping: Timer
  #deadline: Timer | undefined

  /** `pingTimeoutMs`: how long the peer may take to answer a ping. */
  constructor({ session, socket }: RawConnection, pingTimeoutMs: number, clock: Clock = systemClock) {
    this.http2 = session
    this.#socket = socket
    this.#clock = clock
    this.#pingTimeoutMs = pingTimeoutMs
    this.#ping = clock.after(PING_EVERY_MS, () => this.#pingNow())
    this.ended = new Promise(resolve => {
      session.once('close', () => {
        this.#ping.cancel()
        this.#deadline?.cancel()
        resolve()
      })
    })
  }

  /** Whether it takes requests. */
  get open(): boolean {
    return !this.http2.closed && !this.http2.destroyed
  }

  /** Whether what was in flight is lost. */
  get destroyed(): boolean {
    return this.http2.destroyed
  }

  /** How many streams the peer takes at a time. */
  get streams(): number {
    return Math.max(1, this.http2.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY)
  }

  /** Takes no more requests, lets those in flight finish for `graceMs` milliseconds, and closes. */
  close(graceMs: number): void {
    if (this.http2.connecting) return this.destroy()
    this.#deadline?.cancel()
    this.#deadline = this.#clock.after(graceMs, () => this.destroy())
    if (!this.http2.closed) this.http2.close()
  }

  /** Closes at once. */
  destroy(): void {
    this.http2.destroy()
    // The session ends the socket in good order, which a dead peer would never let happen.
    this.#socket.destroy()
  }

  #pingNow(): void {
    if (!this.open) return
    this.#ping = this.#clock.after(PING_EVERY_MS, () => this.#pingNow())
    const deadline = this.#clock.after(this.#pingTimeoutMs, () => this.destroy())
    this.http2.ping(error => {
      deadline.cancel()
      if (error) this.destroy()
    })
  }
}
