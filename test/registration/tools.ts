/** What the tests of the registration side share: a clock that is held, a log that is kept, raw clients. */

import net from 'node:net'
import type { Fields, Level, Log } from '../../plugins/xaps/base/log.ts'
import { FakeClock, turns } from '../support/fake-clock.ts'

/** A clock that moves when it is told to, with turns of the event loop between its timers: sockets are real. */
export function heldClock(now = 1_800_000_000_000): FakeClock {
  return new FakeClock(now, turns)
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
