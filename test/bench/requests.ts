/** Requests of Dovecot's plugins, and how they travel: a connection per line, or one for many POSTs. */

import net from 'node:net'
import type { Job } from './parts/load.ts'
import { deviceOf, userName } from './site.ts'

/** One client's turn with the server. */
export interface Conversation {
  /** Sends the request for user number `index`; rejects when the answer is no "yes". */
  exchange(index: number): Promise<void>
  close(): void
  /** The connection, where one serves all exchanges. */
  readonly socket?: net.Socket
}

/** The requests of one job, handed out one by one to however many clients. */
export class Requests {
  readonly #job: Omit<Job, 'connections'>
  #next: number

  constructor(job: Omit<Job, 'connections'>) {
    this.#job = job
    this.#next = job.from
  }

  /** The number of the user to send for next; undefined when there are no more. */
  next(): number | undefined {
    return this.#next < this.#job.from + this.#job.count ? this.#next++ : undefined
  }

  open(): Conversation {
    const { kind, at, event = 'MessageNew' } = this.#job
    if (kind === 'REGISTER') return lines(String(at))
    return posts(Number(at), kind, index =>
      kind === '/notify' ? notifyBody(index, event) : registerBody(index),
    )
  }
}

function lines(socketPath: string): Conversation {
  return {
    exchange: index =>
      new Promise((resolve, reject) => {
        let answer = ''
        const socket = net.connect(socketPath).setEncoding('latin1')
        socket.write(registerLine(index))
        socket.on('data', (chunk: string) => {
          answer += chunk
        })
        socket.on('error', reject)
        socket.on('end', () => {
          if (answer.startsWith('OK ')) resolve()
          else reject(new Error(`REGISTER was answered ${JSON.stringify(answer)}`))
        })
      }),
    close: () => undefined,
  }
}

function posts(port: number, route: string, body: (index: number) => string): Conversation {
  const socket = net.connect(port, '127.0.0.1').setEncoding('latin1').setNoDelay(true)
  let waiting: { resolve(): void; reject(error: Error): void } | undefined
  let received = ''
  socket.on('data', (chunk: string) => {
    received += chunk
    if (!isWhole(received)) return
    const answer = received
    received = ''
    if (answer.startsWith('HTTP/1.1 200 ')) waiting?.resolve()
    else waiting?.reject(new Error(`${route} was answered ${JSON.stringify(answer)}`))
  })
  socket.on('error', error => waiting?.reject(error))
  socket.on('close', () => waiting?.reject(new Error(`${route}: connection closed`)))
  return {
    socket,
    exchange: index =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        socket.write(post(route, body(index)))
      }),
    close: () => socket.destroy(),
  }
}

/** Whether an HTTP answer has come in whole: these all have a Content-Length. */
function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n')
  return head >= 0 && answer.length - head - 4 >= Number(/\r\ncontent-length: (\d+)/i.exec(answer)?.[1])
}

function registerLine(index: number): string {
  const { account, token, subtopic } = deviceOf(index)
  return (
    `REGISTER aps-account-id="${account}"\taps-device-token="${token}"\taps-subtopic="${subtopic}"\t` +
    `dovecot-username="${userName(index)}"\tdovecot-mailboxes=("INBOX","Notes","Sent Messages")\r\n`
  )
}

function registerBody(index: number): string {
  const { account, token, subtopic, mailboxes } = deviceOf(index)
  return JSON.stringify({
    ApsAccountId: account,
    ApsDeviceToken: token,
    ApsSubtopic: subtopic,
    Username: userName(index),
    Mailboxes: mailboxes,
  })
}

function notifyBody(index: number, event: string): string {
  return `{"Username":"${userName(index)}","Mailbox":"INBOX","Events": ["${event}"]}`
}

function post(route: string, body: string): string {
  return (
    `POST ${route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json; charset=utf-8\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  )
}
