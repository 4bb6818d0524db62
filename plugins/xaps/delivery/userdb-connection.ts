/**
 * One connection to Dovecot's auth-userdb socket: many questions at once, each with its id and its time limit.
 * Does not connect again and caches nothing; the form of the lines is in userdb-protocol.ts.
 */

import net from 'node:net'
import type { Clock } from '../base/clock.ts'
import { DeadlineExceeded, within } from '../base/deadline.ts'
import {
  HANDSHAKE,
  LAST_ID,
  MAJOR_VERSION,
  parseLine,
  requestLine,
  type UserDbAnswer,
} from './userdb-protocol.ts'

/** Longer than any lookup that a mail system could live with, short enough for a push to be of use afterwards. */
const LOOKUP_TIMEOUT_MS = 2_000

/** Dovecot's own lines stay below 16 kB. */
const LONGEST_LINE = 64 * 1024

interface Question {
  readonly resolve: (answer: UserDbAnswer) => void
  readonly reject: (error: Error) => void
}

export class UserDbConnection {
  readonly #socket: net.Socket
  readonly #clock: Clock
  readonly #onEnd: (failed: boolean) => void
  readonly #questions = new Map<number, Question>()
  #lastId = 0
  #received = ''
  #answered = false
  #ended = false

  /**
   * `onEnd` is called once, before the questions that are left are rejected. `failed` means that there is no use in
   * connecting again at once: Dovecot has answered nothing here, or has been silent for too long.
   */
  constructor(path: string, clock: Clock, onEnd: (failed: boolean) => void) {
    this.#clock = clock
    this.#onEnd = onEnd
    // The deadlines of open questions keep the process alive, the connection does not.
    this.#socket = net.connect({ path }).setEncoding('utf8').unref()
    this.#socket.write(HANDSHAKE)
    this.#socket.on('data', (chunk: string) => this.#read(chunk))
    this.#socket.on('error', cause => this.#end(new Error('connection failed', { cause })))
    this.#socket.on('close', () => this.#end(new Error('connection closed by Dovecot')))
  }

  /** Rejects when no answer comes; the connection has ended then. */
  async ask(name: string): Promise<UserDbAnswer> {
    if (this.#ended) throw new Error('connection closed')
    this.#lastId = this.#lastId === LAST_ID ? 1 : this.#lastId + 1
    const id = this.#lastId
    const answer = new Promise<UserDbAnswer>((resolve, reject) =>
      this.#questions.set(id, { resolve, reject }),
    )
    this.#socket.write(requestLine(id, name))
    try {
      return await within(answer, LOOKUP_TIMEOUT_MS, 'auth-userdb', this.#clock)
    } catch (error) {
      // A server that has been silent for so long will not answer the other questions either.
      if (error instanceof DeadlineExceeded) this.#answered = false
      this.#end(error as Error)
      throw error
    }
  }

  close(): void {
    this.#end(new Error('connection closed'))
  }

  #read(chunk: string): void {
    const lines = (this.#received + chunk).split('\n')
    this.#received = lines.pop() ?? ''
    for (const line of lines) this.#receive(line)
    if (this.#received.length > LONGEST_LINE) this.#end(new Error('a line without end'))
  }

  #receive(line: string): void {
    const { version, id, answer } = parseLine(line)
    if (version !== undefined && version !== MAJOR_VERSION)
      this.#end(new Error(`protocol version ${version}, expected ${MAJOR_VERSION}`))
    if (id === undefined || !answer) return
    this.#answered = true
    this.#questions.get(id)?.resolve(answer)
    this.#questions.delete(id)
  }

  #end(error: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.#socket.destroy()
    this.#onEnd(!this.#answered)
    for (const { reject } of this.#questions.values()) reject(error)
    this.#questions.clear()
  }
}
