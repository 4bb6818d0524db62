/** The bytes of one connection → the one line that it may send. Knows nothing of what the line says. */

import type { Socket } from 'node:net'
import type { Clock, Timer } from '../base/clock.ts'
import { BadRequest } from './request.ts'
import type { Incoming, Unfinished } from './unfinished.ts'

/** From the connection to the end of its line, in milliseconds. */
const LINE_TIMEOUT_MS = 10_000

const LF = 0x0a
const CR = 0x0d

/**
 * Resolves with the line without its line end, or undefined when the connection ends without a byte. Rejects with
 * BadRequest (too long, not complete in time, followed by anything) or Unavailable (it gave way). The socket is paused
 * then.
 */
export function receiveLine(
  socket: Socket,
  unfinished: Unfinished,
  clock: Clock,
): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => new Receiver(socket, unfinished, clock, resolve, reject))
}

class Receiver {
  readonly #socket: Socket
  readonly #incoming: Incoming
  readonly #resolve: (line: Buffer | undefined) => void
  readonly #reject: (error: Error) => void
  readonly #timer: Timer
  #begun = false
  #complete = false

  constructor(
    socket: Socket,
    unfinished: Unfinished,
    clock: Clock,
    resolve: (line: Buffer | undefined) => void,
    reject: (error: Error) => void,
  ) {
    this.#socket = socket
    this.#incoming = unfinished.begin(error => this.#refuse(error))
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
    this.#begun = true
    this.#incoming.add(chunk)
    if (end >= 0) this.#finish()
  }

  readonly #onEnd = (): void => {
    if (this.#complete) return
    if (this.#begun) return this.#refuse(new BadRequest('the line is not complete'))
    this.#stop()
    this.#resolve(undefined)
  }

  /** Whatever was sent together with the line is read in the same turn of the event loop. */
  #finish(): void {
    this.#complete = true
    this.#incoming.end()
    setImmediate(() => {
      if (!this.#stop()) return
      const line = this.#incoming.bytes()
      this.#resolve(line.subarray(0, line.at(-2) === CR ? -2 : -1))
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
    this.#incoming.end()
    this.#socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onEnd).pause()
    return true
  }
}
