/** A phone, and what Dovecot's plugins send when it registers: the recorded requests, with other values. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

/** From the compiled test in dist/test/e2e/ to the fixtures beside the sources. */
const WIRE = path.join(__dirname, '../../../test/fixtures/wire')

/** Values in the recorded requests. */
const RECORDED = {
  user: 'user@example.org',
  account: '0715A26B-CA09-4730-A419-793000CA982E',
  token: '2918390218931890821908309283098109381029309829018310983092892829',
}

export interface Phone {
  readonly user: string
  /** Device token: 64 hex digits. */
  readonly token: string
  readonly account: string
}

/** The `number`th phone of a user; the same one each time. */
export function phoneOf(user: string, number = 1): Phone {
  const token = createHash('sha256').update(`${user} ${number}`).digest('hex')
  const account = `${token.slice(0, 8)}-${token.slice(8, 12)}-4730-A419-${token.slice(0, 12)}`.toUpperCase()
  return { user, token, account }
}

/** A recorded request as `phone`'s, from the file `name` without its ending; with a body, its length put right. */
export function recorded(name: string, phone: Partial<Phone>): string {
  const { user, account, token } = { ...RECORDED, ...phone }
  const text = readFileSync(path.join(WIRE, `${name}.txt`), 'utf8')
    .replace(RECORDED.user, user)
    .replace(RECORDED.account, account)
    .replace(RECORDED.token, token)
  const [head = '', body] = text.split('\r\n\r\n')
  if (body === undefined) return text
  return `${head.replace(/(Content-Length: )\d+/, `$1${Buffer.byteLength(body)}`)}\r\n\r\n${body}`
}

/**
 * How st3fan's plugin registers `phone`, its line altered by `change`. Resolves with the reply, which the sender does not
 * wait for the end of.
 */
export function registerByLine(
  socket: string,
  phone: Phone,
  change = (line: string) => line,
): Promise<string> {
  return ask({ path: socket }, change(recorded('st3fan-reg-basic', phone)))
}

/** How freswa's plugin registers `phone`, or another of which there is a recording. */
export async function registerByHttp(
  port: number,
  phone: Phone,
  name = 'freswa-reg-basic',
): Promise<HttpReply> {
  return httpReply(await ask({ port, host: '127.0.0.1' }, recorded(name, phone)))
}

/** Sends `text` and resolves with what comes back in the first write, as both plugins read it. */
export function ask(address: net.NetConnectOpts, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(address, () => socket.write(text))
    socket.setEncoding('utf8').setTimeout(15_000, () => socket.destroy(new Error('no reply')))
    socket.once('data', reply => {
      socket.destroy()
      resolve(String(reply))
    })
    socket.once('error', reject).once('close', () => reject(new Error('closed without a reply')))
  })
}

export interface HttpReply {
  readonly status: number
  readonly body: string
}

export function httpReply(text: string): HttpReply {
  const [head = '', body = ''] = text.split('\r\n\r\n')
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]), body }
}
