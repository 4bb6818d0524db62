/**
 * One push as one HTTP/2 request: what Apple says to it, or why Apple says nothing. One try, in one given time. Knows
 * neither credentials nor connections.
 */

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants as http2,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2'
import type { Clock } from '../base/clock.ts'
import { reasonOf } from '../base/log.ts'
import type { Push } from './payload.ts'
import type { Answer } from './verdict.ts'

/** Why Apple said nothing. */
export interface Fault {
  readonly fault: string
  readonly timedOut: boolean
  /** The peer has refused the stream and not looked at the push (RFC 9113, 8.7): it may be sent again at once. */
  readonly refused?: boolean
}

/** What Apple said, or why it said nothing. */
export type Outcome = Answer | Fault

type AnswerHeaders = IncomingHttpHeaders & IncomingHttpStatusHeader

/** Characters of an answer that are kept. Apple's have about a hundred. */
const MOST_TEXT = 4_096

/** And of its name; Apple's have 36. */
const MOST_ID = 64

/**
 * Sends `push` over `session`, which may be on its way up still. The whole of the answer may take `timeoutMs`
 * milliseconds. Never rejects.
 */
export function request(
  session: ClientHttp2Session,
  { headers, body }: Push,
  timeoutMs: number,
  clock: Clock,
): Promise<Outcome> {
  return new Promise(resolve => {
    try {
      const stream = session.request(headers)
      stream.end(body)
      listen(stream, timeoutMs, resolve, clock)
    } catch (error) {
      resolve({ fault: reasonOf(error), timedOut: false })
    }
  })
}

/** Tells `tell` how the request ends: the first time that it is called counts. */
function listen(
  stream: ClientHttp2Stream,
  timeoutMs: number,
  tell: (outcome: Outcome) => void,
  clock: Clock,
): void {
  const timer = clock.after(timeoutMs, () => {
    tell({ fault: `no answer within ${timeoutMs} ms`, timedOut: true })
    stream.close(http2.NGHTTP2_CANCEL)
  })
  stream.on('response', headers => {
    if (headers[':status'] === 200)
      stream.resume().on('end', () => tell({ status: 200, reason: '', ...idIn(headers) }))
    else readText(stream, text => tell(refusalIn(headers, text, clock.now())))
  })
  stream.on('error', error => {
    const isRefused = stream.rstCode === http2.NGHTTP2_REFUSED_STREAM
    tell({ fault: reasonOf(error), timedOut: false, ...(isRefused ? { refused: true } : {}) })
  })
  stream.on('close', () => {
    timer.cancel()
    tell({ fault: `the stream was closed with HTTP/2 code ${stream.rstCode}`, timedOut: false })
  })
}

/** Reads on after MOST_TEXT without keeping it: the stream must come to its end. */
function readText(stream: ClientHttp2Stream, then: (text: string) => void): void {
  let text = ''
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    if (text.length < MOST_TEXT) text += chunk
  })
  stream.on('end', () => then(text))
}

/**
 * Apple's "no": a status, and a JSON object with `reason`, and with `timestamp` where the device is gone. Anything else
 * (a proxy's page, an answer cut short by the end of its connection) is none of Apple's. `now`: ms since the epoch.
 */
function refusalIn(headers: AnswerHeaders, text: string, now: number): Outcome {
  const status = headers[':status'] ?? 0
  const { reason, timestamp } = objectIn(text)
  if (typeof reason !== 'string') return { fault: `status ${status} without a reason`, timedOut: false }
  const retryAfterMs = retryAfter(headers['retry-after'], now)
  return {
    status,
    reason,
    ...(typeof timestamp === 'number' && timestamp > 0 ? { timestamp } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  }
}

/** A UUID. */
function idIn({ 'apns-id': id }: AnswerHeaders): { readonly id?: string } {
  return typeof id === 'string' ? { id: id.slice(0, MOST_ID) } : {}
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}

/** RFC 9110, 10.2.3: seconds, or a date. At most an hour, in milliseconds. */
function retryAfter(header: string | string[] | undefined, now: number): number | undefined {
  if (typeof header !== 'string') return undefined
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now
  return ms > 0 ? Math.min(ms, 3_600_000) : undefined
}
