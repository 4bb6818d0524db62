/** What the tests of the registration side share: a clock that is held, a log that is kept, raw clients. */

import net from 'node:net'
import type { Clock, Timer } from '../../plugins/xaps/clock.ts'
import type { Fields, Level, Log } from '../../plugins/xaps/log.ts'

/** A clock that moves when it is told to. */
export class FakeClock implements Clock {
  #now: number
  #timers: { at: number; run: () => void }[] = []

  constructor(now = 1_800_000_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): Timer {
    const timer = { at: this.#now + Math.max(ms, 0), run }
    this.#timers.push(timer)
    return { cancel: () => this.#remove(timer) }
  }

  /** Milliseconds until the next timer; undefined without one. */
  get next(): number | undefined {
    const at = Math.min(...this.#timers.map(timer => timer.at))
    return Number.isFinite(at) ? at - this.#now : undefined
  }

  /** Lets `ms` pass: each timer runs at its time, and what it started gets its turns before the next one. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await turns()
    for (let timer = this.#due(end); timer; timer = this.#due(end)) {
      this.#now = Math.max(this.#now, timer.at)
      this.#remove(timer)
      timer.run()
      await turns()
    }
    this.#now = end
  }

  #due(end: number): { at: number; run: () => void } | undefined {
    return this.#timers.filter(timer => timer.at <= end).sort((a, b) => a.at - b.at)[0]
  }

  #remove(timer: { at: number; run: () => void }): void {
    this.#timers = this.#timers.filter(other => other !== timer)
  }
}

/** Some turns of the event loop, enough for promises that wait for each other. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(resolve => setImmediate(resolve))
}

export interface LogEntry {
  readonly level: Level
  readonly message: string
  readonly fields: Fields
}

/** A log that keeps what it is told. */
export function keptLog(): Log & { readonly entries: LogEntry[]; readonly messages: () => string[] } {
  const entries: LogEntry[] = []
  const at =
    (level: Level) =>
    (message: string, fields: Fields = {}) =>
      void entries.push({ level, message, fields })
  return {
    entries,
    messages: () => entries.map(({ level, message }) => `${level} ${message}`),
    debug: at('debug'),
    info: at('info'),
    notice: at('notice'),
    warn: at('warn'),
    error: at('error'),
  }
}

/** A connection that keeps what it receives. */
export interface Client {
  readonly socket: net.Socket
  received(): string
  /** Resolves with all that was received when the other side has ended or reset the connection. */
  readonly ended: Promise<string>
}

/** Connects, and sends `bytes` when connected. */
export async function connect(address: net.NetConnectOpts, bytes?: string | Buffer): Promise<Client> {
  const socket = net.connect(address)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
  })
  // A reset after the reply is no failure of what is tested; before it the reply is missing.
  socket.on('error', () => undefined)
  const ended = new Promise<string>(resolve => {
    socket.on('end', () => resolve(text)).on('close', () => resolve(text))
  })
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  if (bytes !== undefined) socket.write(bytes)
  return { socket, received: () => text, ended }
}

/** Sends `bytes` over a connection of its own and resolves with all that came back. */
export async function exchange(address: net.NetConnectOpts, bytes: string | Buffer): Promise<string> {
  const client = await connect(address, bytes)
  const answer = await client.ended
  client.socket.destroy()
  return answer
}
