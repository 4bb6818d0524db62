/**
 * Small receivers that keep mails in memory: LMTP (RFC 2033) for machines without Dovecot, in Dovecot's words, and
 * SMTP as the next hop of a Haraka that relays. Neither knows STARTTLS or BDAT.
 */

import type net from 'node:net'
import { type Loopback, listenLocally } from './loopback.ts'

export interface ReceivedMail {
  /** Those that were accepted in the end. */
  readonly to: readonly string[]
  /** When it was in the mailboxes, ms since the epoch. */
  readonly at: number
}

export interface LmtpOptions {
  /** The path of a Unix socket; a free TCP port of 127.0.0.1 otherwise. */
  readonly path?: string
  /** Addresses refused at RCPT as unknown users. */
  readonly refuseRcpt?: ReadonlySet<string>
  /** Addresses accepted at RCPT and refused after DATA as over quota. */
  readonly refuseAfterData?: ReadonlySet<string>
  /** Runs before a mail is acknowledged, as Dovecot's plugins do: they notify, and wait for the answer. */
  readonly beforeReply?: (recipients: readonly string[]) => Promise<unknown>
}

export interface LmtpReceiver extends Loopback {
  readonly mails: readonly ReceivedMail[]
}

/** LMTP: each recipient is answered after DATA. */
export function startLmtp(options: LmtpOptions = {}): Promise<LmtpReceiver> {
  return start(options, replyToEach)
}

/** SMTP: the mail is answered after DATA, and always taken. */
export function startSmtpSink(options: Pick<LmtpOptions, 'refuseRcpt'> = {}): Promise<LmtpReceiver> {
  return start(options, () => ['250 2.0.0 taken'])
}

async function start(options: LmtpOptions, repliesTo: RepliesTo): Promise<LmtpReceiver> {
  const mails: ReceivedMail[] = []
  return { mails, ...(await listenLocally(socket => serve(socket, options, mails, repliesTo), options.path)) }
}

/** The lines after DATA, for the recipients of RCPT and those `taken`; `number`: of the mail. */
type RepliesTo = (to: readonly string[], taken: readonly string[], number: number) => readonly string[]

const replyToEach: RepliesTo = (to, taken, number) =>
  to.map(address =>
    taken.includes(address)
      ? `250 2.0.0 <${address}> ${number} Saved`
      : `552 5.2.2 <${address}> Quota exceeded (mailbox for user is full)`,
  )

/** One connection: lines in, replies out, strictly in order. */
function serve(socket: net.Socket, options: LmtpOptions, mails: ReceivedMail[], repliesTo: RepliesTo): void {
  let to: string[] = []
  let received = ''
  let inData = false
  const reply = (line: string) => socket.writable && socket.write(`${line}\r\n`)

  const command = (line: string) => {
    const verb = line.slice(0, 4).toUpperCase()
    const address = /<(.*?)>/.exec(line)?.[1] ?? ''
    if (verb === 'MAIL' || verb === 'RSET') to = []
    inData = verb === 'DATA'
    const refused = verb === 'RCPT' && options.refuseRcpt?.has(address)
    if (verb === 'RCPT' && !refused) to.push(address)
    const answer = ANSWERS[verb] ?? '500 5.5.1 Unknown command'
    reply(refused ? `550 5.1.1 <${address}> User doesn't exist: ${address}` : answer)
    if (verb === 'QUIT') socket.end()
  }

  const finish = async () => {
    inData = false
    const taken = to.filter(address => !options.refuseAfterData?.has(address))
    await options.beforeReply?.(taken)
    if (taken.length > 0) mails.push({ to: taken, at: performance.timeOrigin + performance.now() })
    for (const line of repliesTo(to, taken, mails.length)) reply(line)
  }

  const read = async (line: string) => {
    if (!inData) command(line)
    else if (line === '.') await finish()
  }

  let work = Promise.resolve()
  reply('220 receiver.example.net')
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

const HELLO = '250-receiver.example.net\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING'

const ANSWERS: Readonly<Record<string, string>> = {
  LHLO: HELLO,
  EHLO: HELLO,
  MAIL: '250 2.1.0 OK',
  RCPT: '250 2.1.5 OK',
  DATA: '354 OK',
  RSET: '250 2.1.0 OK',
  NOOP: '250 2.1.0 OK',
  QUIT: '221 2.0.0 Bye',
}
