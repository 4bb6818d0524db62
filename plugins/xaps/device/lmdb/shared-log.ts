/**
 * A log that the processes of one host share. Each appends lines and reads those of all, in an order that is the
 * same for all of them, as `O_APPEND` promises on a local disk. There is no lock, so no process waits for one
 * that is slow, stopped or dead. Knows nothing of their content.
 *
 * A line is of use for some minutes, so the log is a file per period, and two are kept. They are never synced: after a
 * power failure the lines are of no use. Where two periods meet, a process that has moved on may miss a line; after
 * a clock set back lines may come twice.
 */

import * as fs from 'node:fs'
import path from 'node:path'
import { createFile } from './directory.ts'

const PERIOD_MS = 10 * 60_000
/** After a long pause only so much of a file's end is read: all of it could hold up the process. */
const LATE_BYTES = 8 * 1024 * 1024
const LINE_END = 0x0a

/** A file of the log, read up to `offset`. */
interface Part {
  readonly period: number
  readonly fd: number
  offset: number
}

export class SharedLog {
  readonly #directory: string
  readonly #name: string
  readonly #undeleted: (error: unknown) => void
  /** The file that is written to comes last, after those that are not read to their end yet. */
  #parts: Part[] = []

  /** Its files are NAME-PERIOD.log in `directory`. `undeleted` is told why one that is past could not be deleted. */
  constructor(directory: string, name: string, undeleted: (error: unknown) => void) {
    this.#directory = directory
    this.#name = name
    this.#undeleted = undeleted
  }

  /**
   * Appends `line` and returns, in their order, the lines that were not returned yet: this one and those of others.
   * `now` in milliseconds since the epoch. Throws the system's errors; `line` may then be in the log, or not.
   */
  append(line: string, now: number): string[] {
    const { fd } = this.#partOf(Math.floor(now / PERIOD_MS))
    // Begins a line of its own even after one that a full disk has cut off.
    const bytes = Buffer.from(`\n${line}\n`)
    if (fs.writeSync(fd, bytes) < bytes.length) throw new Error('only a part of it could be written')
    return this.read(now)
  }

  /** Returns, in their order, the lines that were not returned yet. `now` as for append. Throws the system's errors. */
  read(now: number): string[] {
    this.#partOf(Math.floor(now / PERIOD_MS))
    const lines = this.#parts.flatMap(readOn)
    this.#closeAllBut(1)
    return lines
  }

  close(): void {
    this.#closeAllBut(0)
  }

  #closeAllBut(last: number): void {
    const past = this.#parts.splice(0, Math.max(0, this.#parts.length - last))
    for (const { fd } of past) fs.closeSync(fd)
  }

  #partOf(period: number): Part {
    const last = this.#parts.at(-1)
    if (last?.period === period) return last
    this.#closeAllBut(1)
    const isLate = !last || last.period < period - 1
    if (isLate && fs.existsSync(this.#file(period - 1))) this.#open(period - 1)
    createFile(this.#file(period), 0)
    const part = this.#open(period)
    this.#deleteBefore(period - 1)
    return part
  }

  #open(period: number): Part {
    const { O_APPEND, O_RDWR, O_NOFOLLOW } = fs.constants
    const part = { period, fd: fs.openSync(this.#file(period), O_APPEND | O_RDWR | O_NOFOLLOW), offset: 0 }
    this.#parts.push(part)
    return part
  }

  /** Also drafts that a process left behind when it was killed: their names begin like those of the files. */
  #deleteBefore(period: number): void {
    try {
      for (const file of fs.readdirSync(this.#directory)) {
        const [, name, number] = /^(\w+)-(\d+)\.log/.exec(file) ?? []
        if (name === this.#name && Number(number) < period) {
          fs.rmSync(path.join(this.#directory, file), { force: true })
        }
      }
    } catch (error) {
      this.#undeleted(error)
    }
  }

  #file(period: number): string {
    return path.join(this.#directory, `${this.#name}-${period}.log`)
  }
}

/** The whole lines after the offset, which moves on behind them. */
function readOn(part: Part): string[] {
  const { size } = fs.fstatSync(part.fd)
  // It has been cut off.
  if (size < part.offset) part.offset = 0
  part.offset = Math.max(part.offset, size - LATE_BYTES)
  const bytes = Buffer.allocUnsafe(size - part.offset)
  const read = fs.readSync(part.fd, bytes, 0, bytes.length, part.offset)
  const end = bytes.subarray(0, read).lastIndexOf(LINE_END) + 1
  part.offset += end
  return bytes
    .toString('utf8', 0, end)
    .split('\n')
    .filter(line => line !== '')
}
