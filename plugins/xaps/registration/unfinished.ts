/**
 * The requests that have not come in whole, over all connections of both doors: their bytes, and a bound on those.
 * What is unfinished gives way to what comes: first the large ones, the oldest of them first, so that no number of
 * large requests touches one of a usual size. Knows neither protocol.
 */

import { MAX_REQUEST_BYTES } from '../base/limits.ts'
import { busy, tooLarge } from './refusal.ts'

/** 30 of the largest requests at once; real ones are gone before the next arrives. */
export const UNFINISHED_REQUESTS_BYTES = 32 * 1024 * 1024

/** A real registration of 200 mailboxes has 4,500 bytes. */
const SMALL_BYTES = 64 * 1024

/** What a chunk costs besides its bytes: somebody may send them one by one. */
const CHUNK_OVERHEAD = 256

/** A request that is coming in. */
export interface Incoming {
  /** Takes the next bytes. May refuse the request, as may what others send. */
  add(chunk: Buffer): void
  /** What came. */
  bytes(): Buffer
  /** It is whole, or nobody waits for it any more: it counts no longer. */
  end(): void
}

export class Unfinished {
  readonly #limit: number
  /** Each in the order in which they came to be of that size. */
  readonly #small = new Set<Part>()
  readonly #large = new Set<Part>()
  #held = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes held, overhead included. */
  get held(): number {
    return this.#held
  }

  /** A request begins. `refuse` is called at most once, with why, and has to end it. */
  begin(refuse: (error: Error) => void): Incoming {
    const part = new Part(refuse)
    return {
      add: chunk => this.#add(part, chunk),
      bytes: () => part.bytes(),
      end: () => this.#letGo(part),
    }
  }

  /** Who goes on sending gets no younger by it. */
  #add(part: Part, chunk: Buffer): void {
    const before = part.held
    part.push(chunk)
    this.#held += part.held - before
    if (part.held <= SMALL_BYTES) this.#small.add(part)
    else {
      this.#small.delete(part)
      this.#large.add(part)
    }
    if (part.size > MAX_REQUEST_BYTES) part.refuse(tooLarge(MAX_REQUEST_BYTES))
    this.#makeRoom()
  }

  #makeRoom(): void {
    while (this.#held > this.#limit) {
      const [oldest] = this.#large.size > 0 ? this.#large : this.#small
      if (!oldest) return
      this.#letGo(oldest)
      oldest.refuse(busy())
    }
  }

  #letGo(part: Part): void {
    if (this.#small.delete(part) || this.#large.delete(part)) this.#held -= part.held
  }
}

class Part {
  readonly refuse: (error: Error) => void
  readonly #chunks: Buffer[] = []
  size = 0
  held = 0

  constructor(refuse: (error: Error) => void) {
    this.refuse = refuse
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.size += chunk.length
    this.held += chunk.length + CHUNK_OVERHEAD
  }

  bytes(): Buffer {
    return this.#chunks.length === 1 && this.#chunks[0] ? this.#chunks[0] : Buffer.concat(this.#chunks)
  }
}
