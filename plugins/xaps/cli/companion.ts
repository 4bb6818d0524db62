/** Asks a running companion, over the socket that Dovecot uses, how it is. */

import net from 'node:net'

/** Dovecot's plugin waits one second; what takes longer is as good as down. */
const PATIENCE_MS = 1_000

/** Resolves with what the companion says of itself; rejects when none answers within a second. */
export function askCompanion(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = net.connect(socketPath, () => socket.write('STATUS\r\n'))
    socket.setEncoding('utf8')
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('no answer within a second')))
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
