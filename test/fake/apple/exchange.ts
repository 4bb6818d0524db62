/** One push: reads the request, judges it as Apple does, answers. The order of the checks is the order in `judge`. */

import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { Connection } from './connection.ts'
import type { Faults, Outcome } from './faults.ts'
import type { Journal } from './journal.ts'
import { type Reason, type Refusal, refusal } from './reasons.ts'
import {
  isNoPhones,
  isUuid,
  PAYLOAD_LIMIT,
  readPayload,
  tokenIn,
  wrongHeader,
  wrongTarget,
  wrongTopic,
} from './rules.ts'

/** Where pushes are judged and kept. */
export interface Desk {
  readonly journal: Journal
  readonly faults: Faults
}

interface Judged {
  readonly topic: string | undefined
  readonly payload: Readonly<Record<string, unknown>> | undefined
  readonly outcome: Outcome | undefined
}

/** Serves one stream of `connection`. */
export function serve(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  connection: Connection,
  desk: Desk,
): void {
  const chunks: Buffer[] = []
  let size = 0
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size <= PAYLOAD_LIMIT) chunks.push(chunk)
  })
  stream.on('end', () => {
    if (stream.aborted) return
    finish(stream, headers, connection, desk, judge(headers, Buffer.concat(chunks), size, connection, desk))
  })
  stream.on('aborted', () => desk.journal.counts.aborted++)
  // A stream that its client or a fault has reset; 'aborted' has counted it.
  stream.on('error', () => undefined)
}

function judge(
  headers: IncomingHttpHeaders,
  body: Buffer,
  size: number,
  connection: Connection,
  { faults }: Desk,
): Judged {
  const topic = headers['apns-topic'] as string | undefined
  const refused = (reason: Reason): Judged => ({ topic, payload: undefined, outcome: refusal(reason) })
  const target = wrongTarget(headers)
  if (target) return refused(target)
  const grant = connection.grant(headers.authorization)
  if (typeof grant === 'string') return refused(grant)
  const wrong = wrongHeader(headers) ?? wrongTopic(topic, grant)
  if (wrong) return refused(wrong)
  const payload = readPayload(body, size)
  if (typeof payload === 'string') return refused(payload)
  const token = tokenOf(headers)
  const outcome = faults.outcome(token) ?? (isNoPhones(token) ? refusal('BadDeviceToken') : undefined)
  return { topic: topic ?? grant.standard, payload, outcome }
}

function tokenOf(headers: IncomingHttpHeaders): string {
  return tokenIn(headers[':path'] ?? '')
}

function finish(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  connection: Connection,
  { journal, faults }: Desk,
  { topic, payload, outcome }: Judged,
): void {
  const no = isRefusal(outcome) ? outcome : undefined
  journal.add(outcome ? no?.status : 200, () => ({
    token: tokenOf(headers),
    topic,
    headers: { ...headers },
    payload,
    session: connection.id,
    reason: no?.reason,
  }))
  const apnsId = idOf(headers)
  if (faults.latencyMs > 0) setTimeout(answer, faults.latencyMs, stream, apnsId, outcome)
  else answer(stream, apnsId, outcome)
}

/** The push's own id, or a new one when it has none that is a UUID. */
function idOf(headers: IncomingHttpHeaders): string {
  const id = headers['apns-id']
  return typeof id === 'string' && isUuid(id) ? id : randomUUID()
}

function isRefusal(outcome: Outcome | undefined): outcome is Refusal {
  return typeof outcome === 'object' && 'status' in outcome
}

function answer(stream: ServerHttp2Stream, apnsId: string, outcome: Outcome | undefined): void {
  if (stream.destroyed || stream.closed || outcome === 'silence') return
  if (outcome === undefined) stream.respond({ ':status': 200, 'apns-id': apnsId }, ACCEPTED)
  else if (isRefusal(outcome)) refuse(stream, apnsId, outcome)
  else stream.close(outcome.resetCode)
}

const ACCEPTED = { endStream: true, sendDate: false }

function refuse(
  stream: ServerHttp2Stream,
  apnsId: string,
  { status, reason, timestamp, retryAfter }: Refusal,
): void {
  stream.respond({
    ':status': status,
    'apns-id': apnsId,
    'content-type': 'application/json; charset=UTF-8',
    ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
  })
  stream.end(JSON.stringify({ reason, ...(timestamp !== undefined && { timestamp }) }))
}
