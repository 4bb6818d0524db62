/**
 * A small LMTP receiver (RFC 2033) for machines without Dovecot: it keeps mails in memory and answers each
 * recipient after DATA in Dovecot's words. Knows neither STARTTLS nor BDAT.
 */

import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ReceivedMail {
  readonly from: string
  /** Those that were accepted in the end. */
  readonly to: readonly string[]
  /** Headers and body as they were before the transport, CRLF line ends. */
  readonly text: string
  /** When the last reply was written, in milliseconds since the epoch. */
  readonly at: number
}

export interface LmtpOptions {
  /** The path of a Unix socket; a free TCP port of 127.0.0.1 otherwise. */
  readonly path?: string
  /** Addresses refused at RCPT as unknown users. */
  readonly refuseRcpt?: ReadonlySet<string>
  /** Addresses accepted at RCPT and refused after DATA as over quota. */
  readonly refuseAfterData?: ReadonlySet<string>
  /** How long to think before the replies to DATA, in milliseconds. */
  readonly latencyMs?: number
  /** Runs before a mail is acknowledged, as Dovecot's plugins do: they notify, and wait for the answer. */
  readonly beforeReply?: (recipients: readonly string[]) => Promise<unknown>
}

export interface LmtpReceiver {
  /** 0 when it listens on a Unix socket. */
  readonly port: number
  readonly mails: readonly ReceivedMail[]
  stop(): Promise<void>
}

export async function startLmtp(options: LmtpOptions = {}): Promise<LmtpReceiver> {
  const mails: ReceivedMail[] = []
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    serve(socket, options, mails)
  })
  if (options.path === undefined) server.listen(0, '127.0.0.1')
  else server.listen(options.path)
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject))
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    mails,
    stop: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

interface Envelope {
  from: string
  to: string[]
}

/** One connection: lines in, replies out, strictly in order. */
function serve(socket: net.Socket, options: LmtpOptions, mails: ReceivedMail[]): void {
  let envelope: Envelope = { from: '', to: [] }
  let received = ''
  let message: string[] | undefined
  const reply = (line: string) => socket.writable && socket.write(`${line}\r\n`)

  const command = (line: string) => {
    const verb = line.slice(0, 4).toUpperCase()
    if (verb === 'DATA') message = []
    if (verb === 'MAIL') envelope = { from: addressIn(line), to: [] }
    if (verb === 'RSET') envelope = { from: '', to: [] }
    const refused = verb === 'RCPT' && options.refuseRcpt?.has(addressIn(line))
    if (verb === 'RCPT' && !refused) envelope.to.push(addressIn(line))
    reply(refused ? `550 5.1.1 <${addressIn(line)}> User doesn't exist: ${addressIn(line)}` : answerTo(verb))
    if (verb === 'QUIT') socket.end()
  }

  const finish = async (text: string) => {
    if (options.latencyMs) await sleep(options.latencyMs)
    const taken = envelope.to.filter(address => !options.refuseAfterData?.has(address))
    await options.beforeReply?.(taken)
    if (taken.length > 0) mails.push({ from: envelope.from, to: taken, text, at: Date.now() })
    for (const address of envelope.to) {
      reply(
        taken.includes(address)
          ? `250 2.0.0 <${address}> ${mails.length} Saved`
          : `552 5.2.2 <${address}> Quota exceeded (mailbox for user is full)`,
      )
    }
  }

  const read = async (line: string) => {
    if (message === undefined) return command(line)
    if (line !== '.') return void message.push(line.replace(/^\./, ''))
    const text = message.join('\r\n')
    message = undefined
    await finish(text)
  }

  let work = Promise.resolve()
  reply('220 LMTP receiver for tests')
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (received + chunk).split('\r\n')
    received = lines.pop() ?? ''
    work = work
      .then(async () => {
        for (const line of lines) await read(line)
      })
      .catch(error => void socket.destroy(error))
  })
}

function answerTo(verb: string): string {
  switch (verb) {
    case 'LHLO':
      return '250-receiver.example.net\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING'
    case 'RCPT':
      return '250 2.1.5 OK'
    case 'DATA':
      return '354 OK'
    case 'QUIT':
      return '221 2.0.0 Bye'
    case 'MAIL':
    case 'RSET':
    case 'NOOP':
      return '250 2.1.0 OK'
    default:
      return '500 5.5.1 Unknown command'
  }
}

function addressIn(line: string): string {
  return /<(.*?)>/.exec(line)?.[1] ?? ''
}
