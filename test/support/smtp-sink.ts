/** A small SMTP server that takes every mail and keeps it in memory: the next hop of a Haraka that relays. */

import type net from 'node:net'
import { createInterface } from 'node:readline'
import { type Loopback, listenLocally } from './loopback.ts'

export interface SmtpSinkOptions {
  /** Addresses refused at RCPT. */
  readonly refuse?: ReadonlySet<string>
}

export interface SunkMail {
  readonly to: readonly string[]
}

export interface SmtpSink extends Loopback {
  readonly mails: readonly SunkMail[]
}

/** Listens on a free port of 127.0.0.1. */
export async function startSmtpSink({ refuse = new Set() }: SmtpSinkOptions = {}): Promise<SmtpSink> {
  const mails: SunkMail[] = []
  return { mails, ...(await listenLocally(socket => serve(socket, refuse, mails))) }
}

function serve(socket: net.Socket, refuse: ReadonlySet<string>, mails: SunkMail[]): void {
  let to: string[] = []
  let inData = false
  const reply = (line: string) => socket.writable && socket.write(`${line}\r\n`)

  const endOfData = () => {
    inData = false
    mails.push({ to })
    reply('250 2.0.0 taken')
  }

  const command = (line: string) => {
    const verb = line.slice(0, 4).toUpperCase()
    const address = /<(.*?)>/.exec(line)?.[1] ?? ''
    if (verb === 'MAIL' || verb === 'RSET') to = []
    const refused = verb === 'RCPT' && refuse.has(address)
    if (verb === 'RCPT' && !refused) to.push(address)
    inData = verb === 'DATA'
    reply(refused ? `550 5.1.1 <${address}> no such user` : (ANSWERS[verb] ?? '250 2.0.0 OK'))
    if (verb === 'QUIT') socket.end()
  }

  reply('220 sink.example.net ESMTP')
  const lines = createInterface({ input: socket })
  lines.on('error', () => socket.destroy())
  lines.on('line', line => {
    if (!inData) command(line)
    else if (line === '.') endOfData()
  })
}

const ANSWERS: Readonly<Record<string, string>> = {
  EHLO: '250-sink.example.net\r\n250 8BITMIME',
  DATA: '354 go on',
  QUIT: '221 2.0.0 bye',
}
