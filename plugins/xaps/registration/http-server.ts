/**
 * The HTTP protocol of freswa's and timlaing's Dovecot plugins, on a TCP port that companion.ts opens. Every imap and
 * lmtp process keeps a connection for its whole life.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Clock, systemClock } from '../base/clock.ts'
import { within } from '../base/deadline.ts'
import { reasonOf } from '../base/log.ts'
import type { ListenerParts } from './connections.ts'
import { checkPost, makeCheckHost } from './http-guard.ts'
import { type Handler, type Methods, type Reply, type Routes, send, sendEarly } from './http-reply.ts'
import { parseNotifyBody, parseRegisterBody } from './json.ts'
import type { NotifyOutcome } from './notify.ts'
import { receiveBody } from './receive.ts'
import { answerTo, BadRequest } from './refusal.ts'
import { makeStatusPage, type StatusPage, type StatusPageParts } from './status-page.ts'
import { type ValidRegister, validateNotify, validateRegister } from './validate.ts'

/** Dovecot's client keeps connections; one that we closed would be opened again for the next request. */
const KEEP_ALIVE_MS = 65 * 60 * 1000

/** A request that is half sent ends after this long; looked at every second. */
const REQUEST_TIMEOUT_MS = 10_000
const CHECKING_INTERVAL_MS = 1_000

/**
 * freswa's plugin ends the imap process on a body of this many bytes or fewer. It takes NUL for the end, so padding
 * helps; timlaing's plugin takes a body with NUL for no topic at all. Longer topics go out bare, which suits both.
 */
const SHORT_BYTES = 50

const PADDED_BYTES = 64

const HEALTH_DEADLINE_MS = 500

const STATUS_OF: Readonly<Record<NotifyOutcome, number>> = { accepted: 200, nothing: 204, unknown: 404 }

export interface HttpParts extends ListenerParts {
  /** Resolves when the store answers, rejects with the reason when it does not. */
  readonly health: () => Promise<unknown>
  /** A word for the store, which `xaps check` compares with its own. */
  readonly store: string
  /** All addresses of `[registration] listen`: what a client may call this server. */
  readonly listen: readonly string[]
  /** Whether a topic that is short is padded. */
  readonly padTopic: boolean
  /** What the status page and /metrics show; without it there are neither. */
  readonly view?: StatusPageParts['view'] | undefined
  /** Peers that may read them: addresses and networks. */
  readonly statusFrom: readonly string[]
}

/** The header of /healthz that says whose companion answers. */
export const STORE_HEADER = 'Xaps-Store'

export interface HttpServer {
  /** Not listening yet. */
  readonly server: Server
  /** Closes idle connections, gives the requests in hand `graceMs`, and stops accepting. */
  close(graceMs: number): Promise<void>
}

export function makeHttpServer(parts: HttpParts, clock: Clock = systemClock): HttpServer {
  const statusPage = openStatusPage(parts, clock)
  const serve = makeServe(parts, makeRoutes(parts, statusPage, clock))
  const server = createServer({
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: CHECKING_INTERVAL_MS,
  })

  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    try {
      const reply = await serve(request).catch(refuse)
      if (!server.listening) response.shouldKeepAlive = false
      if (request.complete) send(response, reply)
      else sendEarly(request, response, reply, clock)
    } catch (error) {
      parts.logRefusal('http', error)
    }
  }
  const refuse = (error: unknown): Reply => {
    parts.logRefusal('http', error)
    const { status, text } = answerTo(error)
    return { status, body: `${text}\n` }
  }

  server.on('connection', socket => parts.connections.add(socket))
  server.on('request', (request, response) => {
    parts.connections.begin(request.socket)
    void respond(request, response)
  })
  server.on('clientError', refuseGarbage)

  const close = async (graceMs: number) => {
    const closed = new Promise<void>(resolve => server.close(() => resolve()))
    statusPage?.close()
    const timer = clock.after(graceMs, () => server.closeAllConnections())
    await closed
    timer.cancel()
  }

  return { server, close }
}

function openStatusPage(parts: HttpParts, clock: Clock): StatusPage | undefined {
  const { view, logRefusal } = parts
  const failed = (error: unknown) => logRefusal('http', error)
  return view && makeStatusPage({ view, statusFrom: () => parts.statusFrom, failed }, clock)
}

function makeRoutes(parts: HttpParts, statusPage: StatusPage | undefined, clock: Clock): Routes {
  const valid = (body: Buffer): ValidRegister => {
    try {
      return validateRegister(parseRegisterBody(body), parts.rules)
    } catch (error) {
      parts.refused()
      throw error
    }
  }
  const registerPost: Handler = async body => {
    const receivedAt = clock.now()
    const topic = await parts.accept(valid(body), receivedAt)
    return { status: 200, body: topicBody(topic, parts.padTopic) }
  }
  const notifyPost: Handler = async body => {
    const receivedAt = clock.now()
    const notification = validateNotify(parseNotifyBody(body), parts.rules)
    const outcome = await parts.notify(notification, receivedAt)
    return { status: STATUS_OF[outcome], body: outcome === 'unknown' ? 'unknown user\n' : '' }
  }
  const eventPost: Handler = async body => {
    const wrong = parts.takeEvent(body.toString())
    if (wrong !== undefined) throw new BadRequest(`event: ${wrong}`)
    return { status: 204, body: '' }
  }
  const headers = { [STORE_HEADER]: parts.store }
  const health: Handler = async () =>
    within(parts.health(), HEALTH_DEADLINE_MS, 'store', clock).then(
      () => ({ status: 200, body: 'ok\n', headers }),
      error => ({ status: 503, body: `${reasonOf(error)}\n`, headers }),
    )
  return new Map<string, Methods>([
    ['/register', { POST: registerPost }],
    ['/notify', { POST: notifyPost }],
    ['/event', { POST: eventPost }],
    ['/healthz', { GET: health, HEAD: health }],
    ...(statusPage?.routes ?? []),
  ])
}

const NO_BODY = Buffer.alloc(0)

/** Resolves with the answer to a request. Rejects for one that is refused. */
function makeServe(parts: HttpParts, routes: Routes): (request: IncomingMessage) => Promise<Reply> {
  const checkHost = makeCheckHost(parts.listen)
  const { connections, unfinished } = parts
  return async request => {
    checkHost(request)
    const { url = '', method = '', socket } = request
    const [path = ''] = url.split('?', 1)
    const methods = routes.get(path)
    if (!methods) return { status: 404, body: 'not found\n' }
    const handler = methods[method]
    if (!handler)
      return {
        status: 405,
        body: 'method not allowed\n',
        headers: { Allow: Object.keys(methods).join(', ') },
      }
    if (method === 'POST') checkPost(request)
    const body = method === 'POST' ? await receiveBody(request, unfinished) : NO_BODY
    connections.answering(socket)
    try {
      return await handler(body, request)
    } finally {
      connections.answered(socket)
    }
  }
}

const STATUS_LINES: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** Answers bytes that are no HTTP, or do not come in time. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
  const status = STATUS_LINES[error.code ?? ''] ?? '400 Bad Request'
  const body = `${status.slice(4)}\n`
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    () => socket.destroySoon(),
  )
}

/** Whether no answer suits both plugins. */
export function isShortTopic(topic: string): boolean {
  return Buffer.byteLength(topic) <= SHORT_BYTES
}

/** `pad`: a short topic is answered as freswa's plugin needs it; otherwise as timlaing's does. */
function topicBody(topic: string, pad: boolean): string {
  return pad && isShortTopic(topic) ? topic.padEnd(PADDED_BYTES, '\0') : topic
}
