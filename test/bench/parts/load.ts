/** Load for the registration side over raw sockets: the requests of Dovecot's plugins, with little CPU spent on them. */

import type net from 'node:net'
import { servePart } from '../part.ts'
import { type Conversation, Requests } from '../requests.ts'
import { quantile } from '../statistics.ts'

export interface Job {
  /** REGISTER lines over a connection each, or POSTs over connections that stay. */
  readonly kind: 'REGISTER' | '/register' | '/notify'
  /** The events in a /notify. Default: MessageNew. */
  readonly event?: 'MessageNew' | 'FlagsSet'
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

export interface LoadApi {
  /** Rejects when an answer is not the right one. */
  run(job: Job): Promise<LoadResult>
  /** Opens so many connections, tells of a change over each and leaves them open. */
  hold(options: { port: number; connections: number }): Promise<void>
}

const held: net.Socket[] = []

servePart<LoadApi>({
  async run(job) {
    const delays: number[] = []
    const requests = new Requests(job)
    const start = performance.now()
    const client = async () => {
      const conversation = requests.open()
      for (let index = requests.next(); index !== undefined; index = requests.next()) {
        const sent = performance.now()
        await conversation.exchange(index)
        delays.push(performance.now() - sent)
      }
      conversation.close()
    }
    await Promise.all(Array.from({ length: job.connections }, client))
    const seconds = (performance.now() - start) / 1000
    return { perSecond: job.count / seconds, p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) }
  },
  async hold({ port, connections }) {
    const requests = new Requests({
      kind: '/notify',
      event: 'FlagsSet',
      at: port,
      count: connections,
      from: 0,
    })
    const opened: Conversation[] = []
    for (let index = requests.next(); index !== undefined; index = requests.next()) {
      const conversation = requests.open()
      await conversation.exchange(index)
      opened.push(conversation)
    }
    held.push(...opened.flatMap(({ socket }) => (socket ? [socket] : [])))
  },
})
