/** What the companion says when it is asked over its Unix socket. */

import net from 'node:net'
import { text } from 'node:stream/consumers'
import type { Answered } from '../observe/overview.ts'

/** The answer is `key=value` words; numbers become numbers. */
export function fieldsOf(said: string): Readonly<Record<string, string | number>> {
  const pairs = [...said.matchAll(/(\w+)=(\S+)/g)]
  return Object.fromEntries(
    pairs.map(([, key = '', value = '']) => [key, /^\d+$/.test(value) ? Number(value) : value]),
  )
}

/** Dovecot's plugin waits one second; a companion that takes longer is as good as down. */
const ANSWER_TIMEOUT_MS = 1_000

/**
 * Asks over the socket that Dovecot uses: what the companion says of itself, key=value on one line. Rejects when none answers
 * within a second.
 */
export function askCompanion(socketPath: string): Promise<string> {
  return ask(socketPath, 'STATUS')
}

/** The same for all that it knows of its instance, and of the last mail of `user` (canonical). */
export async function askOverview(socketPath: string, user?: string): Promise<Answered> {
  return JSON.parse(await ask(socketPath, user === undefined ? 'OVERVIEW' : `OVERVIEW ${user}`)) as Answered
}

async function ask(socketPath: string, question: string): Promise<string> {
  const socket = net.connect(socketPath)
  socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error('no answer within a second')))
  socket.write(`${question}\r\n`)
  const answer = await text(socket)
  const [, said] = /^OK (.*)\r\n$/.exec(answer) ?? []
  if (said === undefined) throw new Error(`an unexpected answer: ${JSON.stringify(answer.slice(0, 80))}`)
  return said
}
