/**
 * A file of lines that are on disk when they are acknowledged. Lines that come while others are being synced share
 * the next sync. Knows nothing of what the lines say.
 */

import { type FileHandle, mkdir, open, readFile } from 'node:fs/promises'
import path from 'node:path'

const LF = 0x0a

interface Waiting {
  readonly bytes: Buffer
  resolve(): void
  reject(error: unknown): void
}

export class SpoolFile {
  readonly #file: string
  #handle: FileHandle | undefined
  /** Bytes in the file that are good, and bytes that are about to be. */
  #written = 0
  #pending = 0
  #waiting: Waiting[] = []
  #work: Promise<void> = Promise.resolve()
  /** The last line may be a torn one: a crash, or a write that failed half way. */
  #torn = false

  constructor(file: string) {
    this.#file = file
  }

  /** Bytes, those included that are being written. */
  get size(): number {
    return this.#written + this.#pending
  }

  /** The lines from an earlier run. The last may be torn. Rejects when there is a file that cannot be read. */
  async load(): Promise<string[]> {
    const content = await readFile(this.#file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return Buffer.alloc(0)
      throw error
    })
    this.#written = content.length
    this.#torn = content.length > 0 && content.at(-1) !== LF
    return content
      .toString()
      .split('\n')
      .filter(line => line !== '')
  }

  /** Appends a line, given without its end. Resolves once it is on disk. Rejects when it may not be there. */
  append(line: string): Promise<void> {
    const bytes = Buffer.from(`${line}\n`)
    this.#pending += bytes.length
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, resolve, reject })
      if (this.#waiting.length === 1) this.#work = this.#work.then(() => this.#writeWaiting())
    })
  }

  /** Empties the file once `unneeded` says so, after what is being written and before what comes. */
  clear(unneeded: () => boolean): Promise<void> {
    const cleared = this.#work.then(async () => {
      if (this.size === 0 || this.#waiting.length > 0 || !unneeded()) return
      await (await this.#opened()).truncate(0)
      this.#written = 0
      this.#torn = false
    })
    // The caller hears of a failure; what is written next does not depend on it.
    this.#work = cleared.catch(() => undefined)
    return cleared
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#work
    await this.#closeHandle()
  }

  async #writeWaiting(): Promise<void> {
    const batch = this.#waiting
    const bytes = Buffer.concat(batch.map(waiting => waiting.bytes))
    this.#waiting = []
    try {
      await this.#write(bytes)
      this.#written += bytes.length
      for (const { resolve } of batch) resolve()
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      this.#pending -= bytes.length
    }
  }

  async #write(bytes: Buffer): Promise<void> {
    try {
      const handle = await this.#opened()
      await handle.appendFile(this.#torn ? Buffer.concat([Buffer.from('\n'), bytes]) : bytes)
      await handle.datasync()
      this.#torn = false
    } catch (error) {
      this.#torn = true
      await this.#startOver()
      throw error
    }
  }

  /**
   * Cuts off what a failed write left, where that can be done. And the next write gets a handle of its own: after
   * a sync that failed the kernel may report success to the same one without having written anything.
   */
  async #startOver(): Promise<void> {
    await this.#handle?.truncate(this.#written).catch(() => undefined)
    await this.#closeHandle()
  }

  /** The file is made when there is something to write, and so are the directories above it. */
  async #opened(): Promise<FileHandle> {
    if (this.#handle) return this.#handle
    const directory = path.dirname(this.#file)
    await mkdir(directory, { recursive: true, mode: 0o700 })
    this.#handle = await open(this.#file, 'a', 0o600)
    await syncDirectory(directory)
    return this.#handle
  }

  async #closeHandle(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    // After a failed write there is nothing more to save with it.
    await handle?.close().catch(() => undefined)
  }
}

/** Makes the name of a new file as durable as what is in it. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
