/** The world outside, each as a process of its own: Apple's stand-in, an LMTP receiver, or both protocols by Node alone. */

import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { MAIL_TOPIC } from '../../fake/apple/certificates.ts'
import { openDirectory } from '../../fake/apple/directory.ts'
import { type Apple, startApple } from '../../fake/apple/server.ts'
import { type LmtpReceiver, startLmtp } from '../../support/lmtp.ts'
import { servePart } from '../part.ts'

/** When a push arrived, in milliseconds since the epoch with fractions. */
export type Stamp = readonly [token: string, epoch: number]

let apple: Apple | undefined
let lmtp: LmtpReceiver | undefined
const stamps: Stamp[] = []

const api = servePart({
  /** Makes credentials below `dir` and listens; `stamps`: keeps when each push came. Returns the port. */
  async startApple({ dir, stamps: keep }: { dir: string; stamps: boolean }) {
    const { authority } = openDirectory(dir, { topic: MAIL_TOPIC, passphrase: 'secret' })
    const onRequest = keep ? { onRequest: note } : {}
    apple = await startApple({ authority, gate: false, record: false, ...onRequest })
    return apple.port
  },
  /** From now on every answer of Apple's takes so many milliseconds. */
  latency: (ms: number) => apple?.faults.latency(ms),
  /** How many pushes have been accepted so far. */
  accepted: () => apple?.counts.accepted ?? 0,
  /** The stamps kept since the last call. */
  takeStamps: () => stamps.splice(0),

  /** Returns the port. */
  async startLmtp() {
    lmtp = await startLmtp()
    return lmtp.port
  },
  /** How many mails the receiver has taken so far. */
  mails: () => lmtp?.mails.length ?? 0,

  /**
   * Listens on a Unix socket and on a port, which it returns, for Dovecot's two protocols: nothing is read closely, and
   * nothing kept.
   */
  async startBareDoors({ socket }: { socket: string }) {
    const line = net.createServer(client => {
      client.on('data', chunk => {
        if (chunk.includes('\n')) client.end(`OK ${MAIL_TOPIC}\r\n`)
      })
      client.on('error', () => client.destroy())
    })
    const posts = http.createServer((request, response) => {
      request.resume().on('end', () => {
        response.writeHead(200, { 'Content-Length': MAIL_TOPIC.length }).end(MAIL_TOPIC)
      })
    })
    await new Promise<void>(resolve => line.listen(socket, resolve))
    await new Promise<void>(resolve => posts.listen(0, '127.0.0.1', resolve))
    return (posts.address() as AddressInfo).port
  },
})

export type Outside = typeof api

function note({ token, epoch }: { token: string; epoch: number }): void {
  stamps.push([token, epoch])
}
