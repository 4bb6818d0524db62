/**
 * The stream socket for the exporter of Dovecot 2.4 (driver unix), which somebody else opens: one event, one line. Dovecot's
 * process `stats` holds one connection for as long as it lives and reads nothing. It drops events without a word while its
 * peer does not read, and then the start of one stands on the line of the next.
 */

import net from 'node:net'
import { MAX_EVENT_LENGTH } from '../base/limits.ts'
import { eachLine } from '../base/lines.ts'

/** One is Dovecot's; beyond these the one that has been silent for longest is closed. Dovecot connects again. */
const MOST_CONNECTIONS = 4

/** Lines of a connection that are no events; then it is closed, which would cost Dovecot one event. Each costs more than an event. */
const MOST_BAD_LINES = 100

/** What an event begins with. Inside a value its quotes would be escaped. */
const BEGINNING = '{"event":'

export interface EventServer {
  /** Not listening yet. */
  readonly server: net.Server
  /** Closes all connections, and stops accepting. */
  close(): Promise<void>
}

/** `take` returns whether the text was an event. */
export function makeEventServer(take: (text: string) => boolean): EventServer {
  /** In the order in which they were last heard of. */
  const connections = new Set<net.Socket>()
  const heard = (socket: net.Socket) => {
    connections.delete(socket)
    connections.add(socket)
    const [longest] = connections
    if (connections.size <= MOST_CONNECTIONS || !longest) return
    connections.delete(longest)
    longest.destroy()
  }

  const pause = makePause()
  const server = net.createServer(socket => {
    heard(socket)
    socket.once('close', () => connections.delete(socket))
    socket.on('data', () => {
      heard(socket)
      pause(socket)
    })
    let bad = 0
    // A line that is longer than an event can be is cut, and seen to be too long.
    eachLine(
      socket,
      line => {
        if (bad >= MOST_BAD_LINES) return
        const start = line.lastIndexOf(BEGINNING)
        if (start < 0 || !take(line.slice(start))) bad += 1
        if (bad >= MOST_BAD_LINES) socket.destroy()
      },
      MAX_EVENT_LENGTH + 1,
    )
  })

  const close = async () => {
    const closed = new Promise<void>(resolve => server.close(() => resolve()))
    for (const socket of connections) socket.destroy()
    await closed
  }
  return { server, close }
}

/** Pauses each connection that has been read from until it is its turn: one in a turn of the event loop, so no phone waits long. */
function makePause(): (socket: net.Socket) => void {
  const paused = new Set<net.Socket>()
  const resumeOne = () => {
    const [first] = paused
    if (!first) return
    paused.delete(first)
    first.resume()
    if (paused.size > 0) setImmediate(resumeOne)
  }
  return socket => {
    socket.pause()
    if (paused.size === 0) setImmediate(resumeOne)
    paused.add(socket)
  }
}
