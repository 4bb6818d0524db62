/**
 * The line protocol of st3fan's Dovecot plugin, on a Unix socket that companion.ts opens: one connection, one line,
 * one reply in one write. A bad request costs its sender an ERROR line and others nothing.
 */

import net from 'node:net'
import { type Clock, systemClock } from '../base/clock.ts'
import type { ListenerParts } from './connections.ts'
import { parseLine } from './line.ts'
import { receiveLine } from './receive.ts'
import { answerTo, BadRequest } from './refusal.ts'
import { validateNotify, validateRegister } from './validate.ts'

/** How long a sender who does not close may take to read its reply, in milliseconds. */
const LINGER_MS = 1_000

const REGISTER = Buffer.from('REGISTER')

/** Our own verbs beside Dovecot's two: how the companion is, in a line; and all that is known, about a user (canonical), too. */
const STATUS = Buffer.from('STATUS')
const OVERVIEW = /^OVERVIEW(?: (.*))?$/s

export interface LineServer {
  /** Not listening yet. */
  readonly server: net.Server
  /** Ends the connections that have not sent their request, gives the others `graceMs`, and stops accepting. */
  close(graceMs: number): Promise<void>
}

export function makeLineServer(parts: ListenerParts, clock: Clock = systemClock): LineServer {
  const { connections } = parts
  const open = new Set<net.Socket>()

  // Half open: a client that ends its side after the line still gets its reply.
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    open.add(socket)
    // A client that goes away is its own affair; its request was handled or was not complete.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => open.delete(socket))
    connections.add(socket)
    void serve(socket, parts, clock)
  })

  const close = async (graceMs: number) => {
    const closed = new Promise<void>(resolve => server.close(() => resolve()))
    for (const socket of open) {
      if (!connections.isAnswering(socket) && !socket.writableEnded) socket.destroy()
    }
    const timer = clock.after(graceMs, () => {
      for (const socket of open) socket.destroy()
    })
    await closed
    timer.cancel()
  }

  return { server, close }
}

async function serve(socket: net.Socket, parts: ListenerParts, clock: Clock): Promise<void> {
  try {
    const line = await receiveLine(socket, parts.unfinished, clock)
    if (line === undefined) return void socket.destroy()
    parts.connections.answering(socket)
    await answer(socket, line, parts, clock).catch(error => {
      if (error instanceof BadRequest && line.subarray(0, REGISTER.length).equals(REGISTER)) parts.refused()
      throw error
    })
  } catch (error) {
    parts.logRefusal('socket', error)
    reply(socket, `ERROR ${answerTo(error).text}`, clock)
  }
  parts.connections.answered(socket)
}

async function answer(socket: net.Socket, line: Buffer, parts: ListenerParts, clock: Clock): Promise<void> {
  const receivedAt = clock.now()
  if (line.equals(STATUS)) return reply(socket, `OK ${parts.status()}`, clock)
  const asked = line.subarray(0, 8).toString() === 'OVERVIEW' ? OVERVIEW.exec(line.toString()) : null
  if (asked) return reply(socket, `OK ${parts.overview(asked[1])}`, clock)
  const request = parseLine(line)
  if (request.verb === 'REGISTER') {
    const topic = await parts.accept(validateRegister(request, parts.rules), receivedAt)
    return reply(socket, `OK ${topic}`, clock)
  }
  const notification = validateNotify(request, parts.rules)
  // Dovecot's delivery waits for the reply, and the reply depends on nothing.
  reply(socket, 'OK ', clock)
  await parts.notify(notification, receivedAt).catch(error => parts.logRefusal('socket', error))
}

/** One write, and the end. */
function reply(socket: net.Socket, text: string, clock: Clock): void {
  socket.end(`${text}\r\n`)
  const timer = clock.after(LINGER_MS, () => socket.destroy())
  socket.on('close', () => timer.cancel())
}
