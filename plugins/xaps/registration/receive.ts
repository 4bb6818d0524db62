/**
 * The bytes of a connection → one whole request, and the memory that requests may take until then, over all connections
 * of both listeners. Knows nothing of what a request says.
 */

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { MAX_REQUEST_BYTES } from '../base/limits.ts'
import { BadRequest, Unavailable } from './refusal.ts'

/** 30 of the largest requests at once; real ones are gone before the next arrives. */
export const UNFINISHED_REQUESTS_BYTES = 32 * 1024 * 1024

/** A real registration of 200 mailboxes has 4,500 bytes. */
const SMALL_BYTES = 64 * 1024

/** A chunk costs so much besides its bytes: they may be sent one by one. */
const CHUNK_OVERHEAD = 256

/** From the connection to the end of its line, in milliseconds. */
const LINE_TIMEOUT_MS = 10_000

const NOTHING = Buffer.alloc(0)

const LF = 0x0a
const CR = 0x0d

/**
 * The requests that have not come in whole: their bytes, and a bound on those. Unfinished ones give way to what comes:
 * first the large ones, the oldest of them first, so that no number of large requests touches one of a usual size.
 */
export class Unfinished {
  readonly #limit: number
  /** Each in the order in which they came to be of that size. */
  readonly #small = new Set<Incoming>()
  readonly #large = new Set<Incoming>()
  #held = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes held, overhead included. */
  get held(): number {
    return this.#held
  }

  /** A request begins. `refuse` is called with why it is refused, and has to end it. */
  begin(refuse: (error: Error) => void): Incoming {
    return new Incoming(this, refuse)
  }

  /** `request` has become larger by `bytes`; by that it gets no younger. */
  grow(request: Incoming, bytes: number): void {
    this.#held += bytes
    if (request.held <= SMALL_BYTES) this.#small.add(request)
    else {
      this.#small.delete(request)
      this.#large.add(request)
    }
    while (this.#held > this.#limit) {
      const [oldest] = this.#large.size > 0 ? this.#large : this.#small
      if (!oldest) return
      this.remove(oldest)
      oldest.refuse(new Unavailable('busy, try again'))
    }
  }

  remove(request: Incoming): void {
    if (this.#small.delete(request) || this.#large.delete(request)) this.#held -= request.held
  }
}

/** A request that is coming in. */
export class Incoming {
  readonly refuse: (error: Error) => void
  readonly #all: Unfinished
  #chunks: Buffer[] = []
  #size = 0
  #ended = false

  constructor(all: Unfinished, refuse: (error: Error) => void) {
    this.#all = all
    this.refuse = refuse
  }

  get held(): number {
    return this.#size + this.#chunks.length * CHUNK_OVERHEAD
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Takes the next bytes; after the end nothing. May refuse the request, as may bytes of others. */
  add(chunk: Buffer): void {
    if (this.#ended) return
    this.#chunks.push(chunk)
    this.#size += chunk.length
    this.#all.grow(this, chunk.length + CHUNK_OVERHEAD)
    if (this.#size > MAX_REQUEST_BYTES) this.refuse(tooLarge())
  }

  /** It is whole, or nothing waits for it any more: it counts no longer. Returns all that came. */
  end(): Buffer {
    this.#ended = true
    this.#all.remove(this)
    const chunks = this.#chunks
    this.#chunks = []
    const [first = NOTHING] = chunks
    return chunks.length > 1 ? Buffer.concat(chunks) : first
  }
}

function tooLarge(): BadRequest {
  return new BadRequest(`longer than ${MAX_REQUEST_BYTES} bytes`, { status: 413 })
}

/**
 * Resolves with the whole body. Rejects with BadRequest (too large, or the client went away) or Unavailable
 * (it gave way); bytes after that are not kept.
 */
export function receiveBody(request: IncomingMessage, unfinished: Unfinished): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > MAX_REQUEST_BYTES) return reject(tooLarge())
    const refuse = (error: Error) => {
      incoming.end()
      reject(error)
    }
    const incoming = unfinished.begin(refuse)
    request.on('data', chunk => incoming.add(chunk))
    request.on('end', () => resolve(incoming.end()))
    request.on('close', () => {
      if (!incoming.ended) refuse(new BadRequest('the body is not complete'))
    })
  })
}

/**
 * Resolves with the one line that a connection may send, without its line end, or undefined when it ends without a byte.
 * Rejects with BadRequest (too long, not complete in time, followed by anything) or Unavailable (it gave way). Bytes
 * that still come then are thrown away: to close over unread ones would take back the reply.
 */
export function receiveLine(
  socket: Socket,
  unfinished: Unfinished,
  clock: Clock,
): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    let state: 'empty' | 'begun' | 'complete' | 'over' = 'empty'
    const stop = () => {
      state = 'over'
      timer.cancel()
      incoming.end()
      // Left in place they make a closed connection outlive more collections of garbage.
      socket.off('data', onData).off('end', onEnd).off('close', onEnd)
    }
    const refuse = (error: Error) => {
      if (state !== 'over') stop()
      reject(error)
    }
    const incoming = unfinished.begin(refuse)
    const timer = clock.after(LINE_TIMEOUT_MS, () =>
      refuse(new BadRequest('no complete line within 10 seconds')),
    )
    const onData = (chunk: Buffer) => {
      const end = chunk.indexOf(LF)
      if (state === 'complete' || (end >= 0 && end < chunk.length - 1))
        return refuse(new BadRequest('bytes after the line'))
      state = 'begun'
      incoming.add(chunk)
      if (end >= 0 && state === 'begun') complete()
    }
    /** Bytes that were sent together with the line are read in the same turn of the event loop. */
    const complete = () => {
      state = 'complete'
      const line = incoming.end()
      setImmediate(() => {
        if (state !== 'complete') return
        stop()
        resolve(withoutLineEnd(line))
      })
    }
    const onEnd = () => {
      if (state === 'begun') refuse(new BadRequest('the line is not complete'))
      else if (state === 'empty') {
        stop()
        resolve(undefined)
      }
    }
    socket.on('data', onData).on('end', onEnd).on('close', onEnd)
  })
}

function withoutLineEnd(line: Buffer): Buffer {
  return line.subarray(0, line.at(-2) === CR ? -2 : -1)
}
