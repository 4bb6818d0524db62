/** Load for the registration side over raw sockets: the requests of Dovecot's plugins, with little CPU spent on them. */

import net from 'node:net'
import { quantile } from '../measure.ts'
import { servePart } from '../part.ts'
import { deviceOf, userName } from '../site.ts'
import { inParallel } from '../work.ts'
import type { Stamp } from './outside.ts'

export interface Job {
  /** REGISTER lines over a connection each, or POSTs over connections that stay. */
  readonly kind: 'REGISTER' | '/register' | '/notify'
  /** The events in a /notify. */
  readonly event: 'MessageNew' | 'FlagsSet'
  /** A path for lines, a port of 127.0.0.1 for HTTP. */
  readonly at: string | number
  readonly connections: number
  readonly count: number
  /** The number of the first user. */
  readonly from: number
}

export interface LoadResult {
  readonly perSecond: number
  /** Milliseconds from the request, for lines from the connection, to its answer. */
  readonly p50: number
  readonly p99: number
}

const api = servePart({
  /** Rejects when an answer is not the right one. */
  async run(job: Job): Promise<LoadResult> {
    const delays: number[] = []
    const start = performance.now()
    const idle = Array.from({ length: job.connections }, () => open(job))
    await inParallel(job.count, job.connections, async index => {
      const conversation = idle.pop() as Conversation
      const sent = performance.now()
      await conversation.exchange(job.from + index)
      delays.push(performance.now() - sent)
      idle.push(conversation)
    })
    for (const { close } of idle) close()
    const seconds = (performance.now() - start) / 1000
    return { perSecond: job.count / seconds, p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) }
  },
  /** Tells of a mail to each of `count` users over one connection. Resolves with the time just before each request. */
  async notifyInTurn({ port, from, count }: { port: number; from: number; count: number }) {
    const stamps: Stamp[] = []
    const client = posts(port, '/notify', index => notifyBody(index, 'MessageNew'))
    for (let index = from; index < from + count; index += 1) {
      stamps.push([deviceOf(index).token, performance.timeOrigin + performance.now()])
      await client.exchange(index)
    }
    client.close()
    return stamps
  },
  /** Opens so many connections, tells of a change over each and leaves them open. */
  async hold({ port, connections }: { port: number; connections: number }) {
    for (let index = 0; index < connections; index += 1) {
      await posts(port, '/notify', () => notifyBody(index, 'FlagsSet')).exchange(index)
    }
  },
})

export type Load = typeof api

/** One client's turn with the server. */
interface Conversation {
  /** Sends the request for user number `index`; rejects when the answer is no "yes". */
  exchange(index: number): Promise<void>
  close(): void
}

function open({ kind, at, event }: Job): Conversation {
  if (kind === 'REGISTER') return lines(String(at))
  return posts(Number(at), kind, kind === '/notify' ? index => notifyBody(index, event) : registerBody)
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

function notifyBody(index: number, event: Job['event']): string {
  return `{"Username":"${userName(index)}","Mailbox":"INBOX","Events": ["${event}"]}`
}

function post(route: string, body: string): string {
  return (
    `POST ${route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json; charset=utf-8\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  )
}
