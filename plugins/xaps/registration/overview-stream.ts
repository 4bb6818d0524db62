/**
 * Server-sent events: an `overview` to every reader at once and every five seconds. Knows no request. What readers cost is
 * bounded: their number, one message for all of them, and at most one that a reader has not taken.
 */

import type { ServerResponse } from 'node:http'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import type { Overview } from '../observe/overview.ts'

export const MOST_READERS = 16

const EVERY_MS = 5_000

/** A reader that takes nothing for so many messages has gone, or sleeps: it may come again. */
const MOST_MISSED = 6

/** Sent where there is no overview, so that a reader sees the stream alive: a comment. */
const HEARTBEAT = ':\n\n'

export class OverviewStream {
  readonly #overview: () => Overview
  readonly #failed: (error: unknown) => void
  readonly #clock: Clock
  /** With the number of messages in a row that each has not got. */
  readonly #readers = new Map<ServerResponse, number>()
  #timer: Timer | undefined

  /** `failed` is told of an overview that throws. */
  constructor(overview: () => Overview, failed: (error: unknown) => void, clock: Clock = systemClock) {
    this.#overview = overview
    this.#failed = failed
    this.#clock = clock
  }

  get isFull(): boolean {
    return this.#readers.size >= MOST_READERS
  }

  /** Sends to a response, whose head has been written, until it closes. One that waits for another's end on its connection never would. */
  add(response: ServerResponse): void {
    if (!response.socket || response.socket.destroyed) return void response.end()
    response.once('close', () => this.#remove(response))
    response.on('error', () => response.destroy())
    this.#readers.set(response, 0)
    this.#send(response, this.#message())
    this.#timer ??= this.#clock.after(EVERY_MS, () => this.#sendToAll())
  }

  /** Ends all, each at a message's end. */
  close(): void {
    this.#timer?.cancel()
    for (const response of this.#readers.keys()) response.end()
  }

  #remove(response: ServerResponse): void {
    this.#readers.delete(response)
    if (this.#readers.size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #sendToAll(): void {
    const message = this.#message()
    this.#timer = this.#clock.after(EVERY_MS, () => this.#sendToAll())
    for (const response of this.#readers.keys()) this.#send(response, message)
  }

  #send(response: ServerResponse, message: string): void {
    const missed = response.writableNeedDrain ? (this.#readers.get(response) ?? 0) + 1 : 0
    this.#readers.set(response, missed)
    if (missed === 0) response.write(message)
    else if (missed >= MOST_MISSED) response.destroy()
  }

  #message(): string {
    try {
      return `event: overview\ndata: ${JSON.stringify(this.#overview())}\n\n`
    } catch (error) {
      this.#failed(error)
      return HEARTBEAT
    }
  }
}
