/**
 * A log that the processes of one host share. Each appends lines and reads what all have appended, in an order that is
 * the same for all of them: what `O_APPEND` promises on a local disk. Nobody holds a lock, so nobody waits for a
 * process that is slow, stopped or dead. Knows nothing of what is in the lines.
 *
 * A line is of use for some minutes, so the log is a file per period, and two are kept. They are never synced: what a
 * power failure takes is of no use after it. Where two periods meet, a line may be read by others too late.
 */

import * as fs from 'node:fs'
import path from 'node:path'
import { createFile } from './lmdb-directory.ts'

const PERIOD_MS = 10 * 60_000
/** Who comes late to a file reads so much of its end at most: all of it could hold up the process. */
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
  /** The file that is written to comes last, after those that are not read to their end yet. */
  #parts: Part[] = []

  /** Its files are NAME-NUMBER.log in `directory`; others there whose names start with `NAME-` are deleted. */
  constructor(directory: string, name: string) {
    this.#directory = directory
    this.#name = name
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
    const lines = this.#parts.flatMap(readOn)
    this.#closeAllBut(1)
    return lines
  }

  close(): void {
    this.#closeAllBut(0)
  }

  #closeAllBut(last: number): void {
    for (const { fd } of this.#parts.splice(0, this.#parts.length - last)) fs.closeSync(fd)
  }

  #partOf(period: number): Part {
    const last = this.#parts.at(-1)
    if (last?.period === period) return last
    const isBeforeThere = last?.period !== period - 1 && fs.existsSync(this.#file(period - 1))
    if (isBeforeThere) this.#parts.push(this.#open(period - 1))
    const part = this.#begin(period)
    this.#parts.push(part)
    return part
  }

  #begin(period: number): Part {
    createFile(this.#file(period), 0)
    const part = this.#open(period)
    const kept = [period - 1, period].map(number => this.#file(number))
    for (const name of fs.readdirSync(this.#directory)) {
      const file = path.join(this.#directory, name)
      if (name.startsWith(`${this.#name}-`) && !kept.includes(file)) fs.rmSync(file, { force: true })
    }
    return part
  }

  #open(period: number): Part {
    const { O_APPEND, O_RDWR, O_NOFOLLOW } = fs.constants
    const fd = fs.openSync(this.#file(period), O_APPEND | O_RDWR | O_NOFOLLOW)
    return { period, fd, offset: Math.max(0, fs.fstatSync(fd).size - LATE_BYTES) }
  }

  #file(period: number): string {
    return path.join(this.#directory, `${this.#name}-${period}.log`)
  }
}

/** The whole lines after the offset, which moves on behind them. */
function readOn(part: Part): string[] {
  const bytes = Buffer.allocUnsafe(fs.fstatSync(part.fd).size - part.offset)
  const read = fs.readSync(part.fd, bytes, 0, bytes.length, part.offset)
  const end = bytes.subarray(0, read).lastIndexOf(LINE_END) + 1
  part.offset += end
  return bytes
    .toString('utf8', 0, end)
    .split('\n')
    .filter(line => line !== '')
}
