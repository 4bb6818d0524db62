/** The bytes of one connection → the one line that it may send. Knows nothing of what the line says. */

import type { Socket } from 'node:net'
import type { Clock, Timer } from '../clock.ts'
import type { Budget } from './budget.ts'
import { busy, TooLarge } from './refusal.ts'
import { BadRequest, MAX_REQUEST_BYTES } from './request.ts'

/** From the connection to the end of its line, in milliseconds. */
const LINE_TIMEOUT_MS = 10_000

/** What a chunk costs besides its bytes: somebody may send them one by one. */
const CHUNK_OVERHEAD = 256

const LF = 0x0a
const CR = 0x0d

/**
 * Resolves with the line without its line end, or undefined when the connection ends without a byte. Rejects with
 * BadRequest (too long, not complete in time, followed by anything) or Unavailable. The socket is paused then.
 */
export function receiveLine(socket: Socket, budget: Budget, clock: Clock): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => new Receiver(socket, budget, clock, resolve, reject))
}

class Receiver {
  readonly #socket: Socket
  readonly #budget: Budget
  readonly #resolve: (line: Buffer | undefined) => void
  readonly #reject: (error: Error) => void
  readonly #timer: Timer
  #chunks: Buffer[] = []
  #size = 0
  #held = 0
  #complete = false

  constructor(
    socket: Socket,
    budget: Budget,
    clock: Clock,
    resolve: (line: Buffer | undefined) => void,
    reject: (error: Error) => void,
  ) {
    this.#socket = socket
    this.#budget = budget
    this.#resolve = resolve
    this.#reject = reject
    this.#timer = clock.after(LINE_TIMEOUT_MS, () =>
      this.#refuse(new BadRequest('no complete line within 10 seconds')),
    )
    socket.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onEnd)
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#complete) return this.#refuse(new BadRequest('bytes after the line'))
    const end = chunk.indexOf(LF)
    if (end >= 0 && end < chunk.length - 1) return this.#refuse(new BadRequest('bytes after the line'))
    this.#size += chunk.length
    if (this.#size > MAX_REQUEST_BYTES)
      return this.#refuse(new TooLarge(`longer than ${MAX_REQUEST_BYTES} bytes`))
    this.#chunks.push(chunk)
    if (end >= 0) this.#finish()
    else this.#hold(chunk.length + CHUNK_OVERHEAD)
  }

  readonly #onEnd = (): void => {
    if (this.#complete) return
    if (this.#size > 0) return this.#refuse(new BadRequest('the line is not complete'))
    this.#stop()
    this.#resolve(undefined)
  }

  #hold(bytes: number): void {
    if (!this.#budget.take(bytes)) return this.#refuse(busy())
    this.#held += bytes
  }

  /** Whatever was sent together with the line is read in the same turn of the event loop. */
  #finish(): void {
    this.#complete = true
    setImmediate(() => {
      if (!this.#stop()) return
      const line = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks)
      this.#resolve(line?.subarray(0, line.at(-2) === CR ? -2 : -1))
    })
  }

  #refuse(error: Error): void {
    if (this.#stop()) this.#reject(error)
  }

  #stopped = false

  /** False when that has been done before. */
  #stop(): boolean {
    if (this.#stopped) return false
    this.#stopped = true
    this.#timer.cancel()
    this.#budget.give(this.#held)
    this.#socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onEnd).pause()
    return true
  }
}
