/** How the HTTP listener answers, and when: whole replies, early ones, and those that go on. Knows no path. */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Clock } from '../base/clock.ts'

/** How long a client may go on sending what has been refused, so that it gets to read why. */
const LINGER_MS = 1_000

export interface Reply {
  readonly status: number
  readonly body: string
  /** Besides Content-Type, which is plain text where it is not among them, and Content-Length. */
  readonly headers?: OutgoingHttpHeaders
  /** Takes the response after its head, in place of `body`, and has to end it. */
  readonly goOn?: (response: ServerResponse) => void
}

/** `body` is empty for all but POST. */
export type Handler = (body: Buffer, request: IncomingMessage) => Promise<Reply>

/** The handlers of one path by method. */
export type Methods = Readonly<Record<string, Handler>>

/** By path; another page is another entry. */
export type Routes = ReadonlyMap<string, Methods>

function headersOf({ status, body, headers, goOn }: Reply): OutgoingHttpHeaders {
  const all: OutgoingHttpHeaders = { 'Content-Type': 'text/plain; charset=utf-8' }
  if (status !== 204 && !goOn) all['Content-Length'] = Buffer.byteLength(body)
  return Object.assign(all, headers)
}

/** Head and body leave in one write: Node joins them when the body is a string given to `end`. */
export function send(response: ServerResponse, reply: Reply): void {
  response.writeHead(reply.status, headersOf(reply))
  if (reply.goOn) reply.goOn(response)
  else response.end(reply.body)
}

/** Answers before the body is through, and lets it run off for a while: closing at once would take back the answer. */
export function sendEarly(
  request: IncomingMessage,
  response: ServerResponse,
  reply: Reply,
  clock: Clock,
): void {
  response.writeHead(reply.status, { ...headersOf(reply), Connection: 'close' })
  response.write(reply.body)
  const timer = clock.after(LINGER_MS, () => response.end())
  request.resume().once('end', () => response.end())
  response.once('close', () => timer.cancel())
}
