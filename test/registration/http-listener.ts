/** The HTTP listener, served for one test, and clients that read its answers. */

import type { AddressInfo, NetConnectOpts } from 'node:net'
import type { TestContext } from 'node:test'
import { type HttpParts, makeHttpServer } from '../../plugins/xaps/registration/http-server.ts'
import { until } from '../support/wait.ts'
import { type Behaviour, makeListener } from './listeners.ts'
import { type Client, exchange } from './tools.ts'

/** What HTTP needs besides. */
export const HTTP = {
  health: () => Promise.resolve(),
  store: 'stest',
  listen: ['127.0.0.1:11619'],
  padTopic: true,
  statusFrom: ['127.0.0.0/8', '::1'],
}

export const CLOSE = ['Connection: close']

/** Serves a listener of such `behaviour`, for one test. */
export async function serve(t: TestContext, behaviour: Behaviour = {}, more: Partial<HttpParts> = {}) {
  const made = makeListener(behaviour)
  const listener = makeHttpServer({ ...HTTP, ...made.parts, ...more }, behaviour.clock)
  await new Promise<void>(resolve => listener.server.listen(0, '127.0.0.1', resolve))
  t.after(() => listener.close(0))
  const { port } = listener.server.address() as AddressInfo
  return { ...made, listener, address: { port, host: '127.0.0.1' } satisfies NetConnectOpts }
}

/** The parts of an answer; more answers after the first are in `rest`. */
export function parse(answer: string) {
  const [head = '', ...tail] = answer.split('\r\n\r\n')
  const after = tail.join('\r\n\r\n')
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0)
  return {
    status: Number(head.split(' ')[1]),
    head,
    body: after.slice(0, length),
    rest: after.slice(length),
  }
}

/** Sends one request and resolves with its answer. The connection ends when `bytes` ask for that. */
export async function ask(address: NetConnectOpts, bytes: string | Buffer) {
  return parse(await exchange(address, bytes))
}

export async function answers(client: Client, count: number): Promise<string> {
  return until(
    () => (client.received().split('HTTP/1.1 ').length > count ? client.received() : ''),
    `${count} answers`,
  )
}
