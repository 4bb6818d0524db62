/**
 * A small LMTP receiver (RFC 2033) for machines without Dovecot: it keeps mails in memory and answers each
 * recipient after DATA in Dovecot's words. Knows neither STARTTLS nor BDAT.
 */

import type net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Loopback, listenLocally } from './loopback.ts'

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

export interface LmtpReceiver extends Loopback {
  readonly mails: readonly ReceivedMail[]
}

export async function startLmtp(options: LmtpOptions = {}): Promise<LmtpReceiver> {
  const mails: ReceivedMail[] = []
  return { mails, ...(await listenLocally(socket => serve(socket, options, mails), options.path)) }
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
    reply(
      refused
        ? `550 5.1.1 <${addressIn(line)}> User doesn't exist: ${addressIn(line)}`
        : (ANSWERS[verb] ?? '500 5.5.1 Unknown command'),
    )
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

const ANSWERS: Readonly<Record<string, string>> = {
  LHLO: '250-receiver.example.net\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING',
  MAIL: '250 2.1.0 OK',
  RCPT: '250 2.1.5 OK',
  DATA: '354 OK',
  RSET: '250 2.1.0 OK',
  NOOP: '250 2.1.0 OK',
  QUIT: '221 2.0.0 Bye',
}

function addressIn(line: string): string {
  return /<(.*?)>/.exec(line)?.[1] ?? ''
}
