/** `xaps status`: whether a companion answers, and what it says of itself. Exit status 1 when none answers. */

import net from 'node:net'
import type { Command } from 'commander'
import { reasonOf } from '../base/log.ts'
import { pathIn } from '../config/config.ts'
import { configOf, Failure, print } from './context.ts'

export function addStatus(xaps: Command): void {
  xaps
    .command('status')
    .description('ask the companion whether it serves')
    .option('--json', 'as one JSON object')
    .action(async ({ json }: { json?: true }, command: Command) => {
      const config = configOf(command)
      const socket = pathIn(config, config.registration.socket)
      const said = await askCompanion(socket).catch((error: unknown) => {
        throw new Failure(`no companion answers at ${socket}: ${reasonOf(error)}`)
      })
      print(json ? JSON.stringify({ socket, ...fieldsOf(said) }) : said)
    })
}

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
 * Asks over the socket that Dovecot uses. Resolves with what the companion says of itself, and of the last event of `user`
 * (canonical); rejects when none answers within a second.
 */
export function askCompanion(socketPath: string, user?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const question = user === undefined ? 'STATUS' : `STATUS ${user}`
    const socket = net.connect(socketPath, () => socket.write(`${question}\r\n`))
    socket.setEncoding('utf8')
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error('no answer within a second')))
    socket.on('data', chunk => {
      answer += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => {
      const [, said] = /^OK (.*)\r\n$/.exec(answer) ?? []
      if (said === undefined)
        reject(new Error(`an unexpected answer: ${JSON.stringify(answer.slice(0, 80))}`))
      else resolve(said)
    })
  })
}
