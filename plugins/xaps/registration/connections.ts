/**
 * What the listeners share; above all their open connections, and a bound on the number of those. At the bound the one that
 * has been idle, or has owed the rest of its request, for longest is closed to make room for the new one; never one whose
 * request is being answered. Dovecot's client opens a connection again when it needs one. Knows no protocol.
 */

import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { type Clock, systemClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Accept } from './accept.ts'
import type { Notify } from './notify.ts'
import type { Unfinished } from './receive.ts'
import type { LogRefusal } from './refusal.ts'
import type { RegisterRules } from './validate.ts'

export interface ListenerParts {
  readonly accept: Accept
  readonly notify: Notify
  /** Told of a registration that breaks a rule. */
  readonly refused: () => void
  readonly rules: RegisterRules
  readonly logRefusal: LogRefusal
  /** Takes one event of Dovecot's exporter; returns what is wrong with it, if anything is. */
  readonly takeEvent: (text: string) => string | undefined
  /** How the companion is, in words of the form key=value on one line. */
  readonly status: () => string
  /** All that is known of the instance, and the last decision on a user's mail: Asked of overview.ts, as JSON on one line. */
  readonly overview: (user: string | undefined) => string
  readonly unfinished: Unfinished
  readonly connections: Connections
}

/** Descriptors for all else: store, spool, Apple, log, the sockets that are listened on. */
const OTHER_DESCRIPTORS = 128

/** More than the imap processes of one host, and at some 20 kB each no more memory than a process should have. */
const MAX_CONNECTIONS = 10_000

/** The limit of a system on which none was set. */
const USUAL_DESCRIPTORS = 1_024

const LOG_PAUSE_MS = 10 * 60_000

/** How many connections this process may hold, by the number of files that it may have open. */
export function connectionLimit(descriptors = openFilesLimit()): number {
  const others = Math.min(OTHER_DESCRIPTORS, descriptors / 2)
  return Math.min(MAX_CONNECTIONS, Math.floor(descriptors - others))
}

/** The soft limit of open files. Node raises it to the hard one when it starts. */
function openFilesLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return Number(soft ?? Number.POSITIVE_INFINITY)
  } catch {
    // No Linux, or no /proc: the usual number is safe.
    return USUAL_DESCRIPTORS
  }
}

export class Connections {
  readonly #limit: number
  readonly #log: Log
  readonly #clock: Clock
  /** In the order in which they became idle, or began the request that is not whole. */
  readonly #waiting = new Set<Socket>()
  /** How many requests of a connection are being answered: HTTP takes several at once. */
  readonly #answering = new Map<Socket, number>()
  #silent = false

  constructor(limit: number, log: Log, clock: Clock = systemClock) {
    this.#limit = limit
    this.#log = log
    this.#clock = clock
  }

  get size(): number {
    return this.#waiting.size + this.#answering.size
  }

  /** A connection has been accepted. */
  add(socket: Socket): void {
    this.#waiting.add(socket)
    socket.once('close', () => {
      this.#waiting.delete(socket)
      this.#answering.delete(socket)
    })
    if (this.size > this.#limit) this.#makeRoom()
  }

  /** A request begins on a connection that was idle. */
  begin(socket: Socket): void {
    if (this.#waiting.delete(socket)) this.#waiting.add(socket)
  }

  /** A request is whole: until it is `answered` its connection is not closed. */
  answering(socket: Socket): void {
    this.#waiting.delete(socket)
    this.#answering.set(socket, (this.#answering.get(socket) ?? 0) + 1)
  }

  isAnswering(socket: Socket): boolean {
    return this.#answering.has(socket)
  }

  /** A request that was being answered is so no longer. */
  answered(socket: Socket): void {
    const others = (this.#answering.get(socket) ?? 1) - 1
    if (others > 0) return void this.#answering.set(socket, others)
    this.#answering.delete(socket)
    if (!socket.destroyed) this.#waiting.add(socket)
  }

  #makeRoom(): void {
    const [longest] = this.#waiting
    if (!longest) return
    this.#waiting.delete(longest)
    longest.destroy()
    if (this.#silent) return
    this.#silent = true
    this.#log.warn('too many connections: for each new one the one that is idle for longest is closed', {
      limit: this.#limit,
    })
    this.#clock.after(LOG_PAUSE_MS, () => {
      this.#silent = false
    })
  }
}
