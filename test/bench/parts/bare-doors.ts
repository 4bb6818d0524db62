/** Both protocols answered by Node alone: nothing is read closely, and nothing kept. */

import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { MAIL_TOPIC } from '../../fake/apple/certificates.ts'
import { servePart } from '../part.ts'

export interface BareDoorsApi {
  /** Listens on a Unix socket and on a port, which it returns. */
  start(options: { socket: string }): Promise<number>
}

servePart<BareDoorsApi>({
  async start({ socket }) {
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
