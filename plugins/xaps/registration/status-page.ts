/**
 * What the HTTP listener shows to an operator and to Prometheus: GET / with the files of the page, /status.json, /events and
 * /metrics. Read-only, for the peers that `[registration] status_from` names. Knows not where an overview comes from.
 */

import { readFile } from 'node:fs/promises'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isWithin } from '../base/addresses.ts'
import type { Clock } from '../base/clock.ts'
import { within } from '../base/deadline.ts'
import { DECISIONS } from '../observe/decisions.ts'
import { EXPOSITION_TYPE } from '../observe/exposition.ts'
import type { Answered, Overview } from '../observe/overview.ts'
import type { Handler, Methods, Reply } from './http-reply.ts'
import { OverviewStream } from './overview-stream.ts'
import { BadRequest, Unavailable } from './refusal.ts'

/** What there is to see. */
export interface View {
  overview(): Overview
  /** The same, and what became of the last mail of `user` (canonical). */
  answer(user: string | undefined): Answered
  /** In Prometheus' text format; waited for five seconds. */
  metrics(): Promise<string>
}

export interface StatusPageParts {
  readonly view: Pick<View, 'overview' | 'metrics'>
  /** Addresses and networks of the peers that may read; looked at for each request. */
  readonly statusFrom: () => readonly string[]
  /** Is told of an overview that throws. */
  readonly failed: (error: unknown) => void
}

export interface StatusPage {
  readonly routes: readonly (readonly [path: string, methods: Methods])[]
  /** Ends the streams. */
  close(): void
}

const DIRECTORY = path.join(__dirname, '..', 'observe', 'page')

/** Path, file and type of what the page is made of; `npm run build` puts the files beside the code. */
const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ...['xaps.js', 'charts.js', 'elements.js'].map(
    file => [`/${file}`, file, 'text/javascript; charset=utf-8'] as const,
  ),
  ['/xaps.css', 'xaps.css', 'text/css; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml'],
] as const

/** Nothing from another host, nothing inline, in no frame, and nothing is kept. */
const HEADERS: OutgoingHttpHeaders = {
  'Content-Security-Policy':
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
}

/** Less than Prometheus waits for by default. */
const METRICS_DEADLINE_MS = 5_000

export function makeStatusPage({ view, statusFrom, failed }: StatusPageParts, clock: Clock): StatusPage {
  const stream = new OverviewStream(() => view.overview(), failed, clock)
  const shown = (type: string, answer: () => Promise<string>): Handler => {
    return async (_body, request) => {
      checkPeer(request, statusFrom())
      return { status: 200, body: await answer(), headers: { ...HEADERS, 'Content-Type': type } }
    }
  }
  const page = (type: string, answer: () => Promise<string>): Methods => {
    const handler = shown(type, answer)
    return { GET: handler, HEAD: handler }
  }
  const events: Handler = async (_body, request) => {
    checkPeer(request, statusFrom())
    return eventsTo(stream)
  }
  const files = FILES.map(([at, file, type]) => [at, page(type, () => read(file))] as const)
  const overview = shared(async () => JSON.stringify(view.overview()))
  const metrics = shared(() => within(view.metrics(), METRICS_DEADLINE_MS, 'metrics', clock))
  const decisions = async () => JSON.stringify(DECISIONS)
  return {
    routes: [
      ...files,
      ['/status.json', page('application/json', overview)],
      ['/decisions.json', page('application/json', decisions)],
      ['/metrics', page(EXPOSITION_TYPE, metrics)],
      ['/events', { GET: events }],
    ],
    close: () => stream.close(),
  }
}

/**
 * One answer for all that ask in one turn of the event loop: the page may be asked by many, and a phone that registers meanwhile
 * waits for them all.
 */
function shared(make: () => Promise<string>): () => Promise<string> {
  let coming: Promise<string> | undefined
  const begin = async () => {
    await setImmediate()
    coming = undefined
    return make()
  }
  return () => {
    coming ??= begin()
    return coming
  }
}

/** Read each time: seldom, and an upgrade in place shows its own page. */
function read(file: string): Promise<string> {
  return readFile(path.join(DIRECTORY, file), 'utf8')
}

/** Throws BadRequest for a peer that may not read. */
function checkPeer({ socket }: IncomingMessage, statusFrom: readonly string[]): void {
  if (!isWithin(statusFrom, socket.remoteAddress ?? ''))
    throw new BadRequest('only peers in [registration] status_from may read this', { status: 403 })
}

/** The connection ends with the stream, so that a server that closes need not wait for it. */
function eventsTo(stream: OverviewStream): Reply {
  if (stream.isFull) throw new Unavailable('too many readers of /events')
  const headers = { ...HEADERS, 'Content-Type': 'text/event-stream', Connection: 'close' }
  return { status: 200, body: '', headers, goOn: response => stream.add(response) }
}
