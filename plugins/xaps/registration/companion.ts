/**
 * The registration side as a whole: opens its listeners, serves them, empties the spool, and closes in order. Knows neither
 * the store nor Apple, which it is given as functions, nor the process that it runs in.
 */

import type { AddressInfo, Server } from 'node:net'
import { type Clock, systemClock } from '../base/clock.ts'
import { STAGES } from '../base/limits.ts'
import { type Log, reasonOf } from '../base/log.ts'
import type { Device } from '../device/device.ts'
import type { MailEvent } from '../event.ts'
import { listenInherited, listenTcp } from '../process/listener.ts'
import { retryListen } from '../process/retry-listen.ts'
import { listenUnixSocket, type SocketFile } from '../process/unix-socket.ts'
import { type AcceptParts, makeAccept } from './accept.ts'
import { Connections, connectionLimit, type ListenerParts } from './connections.ts'
import { type HttpServer, makeHttpServer } from './http-server.ts'
import { type LineServer, makeLineServer } from './line-server.ts'
import { makeNotify, type Notified, type NotifyParts } from './notify.ts'
import { Outages } from './outages.ts'
import { UNFINISHED_REQUESTS_BYTES, Unfinished } from './receive.ts'
import { makeLogRefusal } from './refusal.ts'
import type { Save, Spool } from './spool.ts'
import type { View } from './status-page.ts'

/** No user has this name: it is looked up to see whether the store answers. */
const PROBE_USER = 'healthz'

/** A listener that the parent has bound and passed on: which protocol, and as which descriptor. */
export interface InheritedListener {
  readonly protocol: Protocol
  readonly fd: number
}

/** Of st3fan's plugin, of the others, and of Dovecot's event exporter. */
type Protocol = 'line' | 'http' | 'events'

/** Those that are read for each request are `subtopics`, `notified` (its members), `padTopic` and `lowercase`: they may change. */
export interface CompanionOptions {
  /** All listeners, where the parent has bound them; otherwise `socket` and `listen` are opened. */
  readonly inherited?: readonly InheritedListener[] | undefined
  /** The path of the Unix socket; empty for none. */
  readonly socket: string
  /** The path of the Unix socket for Dovecot's events; empty or missing for none. It has mode and owner of the other. */
  readonly eventsSocket?: string
  readonly socketMode: number
  /** Undefined leaves them as they are. */
  readonly socketOwner: { readonly uid?: number | undefined; readonly gid?: number | undefined }
  /** Addresses for HTTP, as parseTcpAddress takes them. */
  readonly listen: readonly string[]
  readonly subtopics: readonly string[]
  readonly notified: Notified
  /** Peers that may read status page and metrics: addresses and networks. */
  readonly statusFrom: readonly string[]
  /** A topic of 50 bytes or fewer is padded in HTTP's answer. */
  readonly padTopic: boolean
  readonly lowercase: boolean
  /** A listener that cannot be opened is tried again for as long as it takes, instead of failing the start. */
  readonly retry?: boolean | undefined
}

/** What takes the events of Dovecot's exporter. */
export interface EventTaker {
  /** Takes one event; returns what is wrong with it, if anything is. */
  take(text: string): string | undefined
  /** Serves the stream socket. */
  makeServer(): { readonly server: Server; close(): Promise<void> }
  /** In words of the form key=value. */
  status(): string
}

export interface CompanionParts {
  readonly events: EventTaker
  /** Saves a live registration in the store, and one out of the spool, which is no news after later ones of its device. */
  readonly save: Save
  readonly replay: Save
  readonly spool: Pick<Spool, 'size' | 'add' | 'start' | 'saveNow' | 'close'>
  /** Has `listener` called whenever the store answers again. */
  readonly onReady: (listener: () => void) => void
  readonly devices: (user: string) => Promise<readonly Device[]>
  /** Takes an event for pushing; returns at once. */
  readonly submit: (event: MailEvent, devices?: readonly Device[]) => void
  readonly registered: AcceptParts['registered']
  readonly notPushed: NotifyParts['notPushed']
  /** How many devices wait for a push. */
  readonly pending: () => number
  /** The topic that phones are told. Throws when there is none. */
  readonly topic: () => string
  /** A word for the configuration in use, and for the store. */
  readonly configuration: () => string
  readonly store: string
  readonly view: View
  readonly log: Log
}

export interface Companion {
  /** Its addresses for HTTP: those of `listen` that are open. */
  addresses(): readonly AddressInfo[]
  /** Stops accepting, finishes the requests in hand (STAGES.listenersMs at most), removes its socket file. */
  close(): Promise<void>
}

/** `open` may be called again after it has rejected. */
interface Listener {
  readonly server: Server
  open(): Promise<void>
  close(): Promise<void>
}

/** Rejects when a listener cannot be opened, unless `retry` is set. The message says which and why. */
export async function startCompanion(
  options: CompanionOptions,
  parts: CompanionParts,
  clock: Clock = systemClock,
): Promise<Companion> {
  const { log, spool, replay } = parts
  const outages = new Outages(log, clock)
  const listeners = makeListeners(options, parts, outages, clock)
  const attempts = listeners.map(({ open }) =>
    retryListen(open, { retry: options.retry ?? false, log }, clock),
  )
  const close = async () => {
    await Promise.all(attempts.map(attempt => attempt.stop()))
    await Promise.all(listeners.map(listener => listener.close()))
    await spool.close()
    outages.close()
  }
  try {
    await Promise.all(attempts.map(attempt => attempt.tried))
  } catch (error) {
    await close()
    throw error
  }
  spool.start((user, registration) => outages.watch('store', user, replay(user, registration)))
  parts.onReady(() => spool.saveNow())
  const addresses = () => listeners.map(({ server }) => server.address()).filter(isTcp)
  return { addresses, close }
}

function isTcp(address: ReturnType<Server['address']>): address is AddressInfo {
  return typeof address === 'object' && address !== null && 'port' in address
}

/** All that is listened on. A further listener is another entry here, and its protocol one of makeServers. */
function makeListeners(
  options: CompanionOptions,
  parts: CompanionParts,
  outages: Outages,
  clock: Clock,
): Listener[] {
  const { log } = parts
  const { inherited, socket, eventsSocket = '', socketMode: mode, socketOwner, listen } = options
  const servers = makeServers(options, parts, outages, clock)
  const listener = (protocol: Protocol, open: Open) => toListener(servers[protocol](), open, log)
  if (inherited)
    return inherited.map(({ protocol, fd }) => listener(protocol, server => listenInherited(server, fd)))
  const atPath = (protocol: Protocol, path: string, key?: string) =>
    path === ''
      ? []
      : [listener(protocol, server => listenUnixSocket(server, { path, key, mode, ...socketOwner }))]
  return [
    ...atPath('line', socket),
    ...listen.map(address => listener('http', server => listenTcp(server, address, log))),
    ...atPath('events', eventsSocket, '[delivery] events_socket'),
  ]
}

/** How each protocol is served. */
function makeServers(
  options: CompanionOptions,
  parts: CompanionParts,
  outages: Outages,
  clock: Clock,
): Record<Protocol, () => Served> {
  const { save, spool, devices, events, submit, registered, notPushed } = parts
  const { pending, topic, configuration, view, log } = parts
  const startedAt = clock.now()
  const upSeconds = () => Math.round((clock.now() - startedAt) / 1000)
  const status = () =>
    `pid=${process.pid} up_seconds=${upSeconds()} spooled=${spool.size} pending=${pending()} store=${parts.store} configuration=${configuration()}`
  const shared: ListenerParts = {
    status: () => `${status()} ${events.status()}`,
    overview: user => JSON.stringify(view.answer(user)),
    takeEvent: text => events.take(text),
    accept: makeAccept({ save, spool, outages, registered, topic }, clock),
    notify: makeNotify({ devices, submit, notPushed, notified: options.notified }, clock),
    refused: () => registered('refused'),
    rules: options,
    logRefusal: makeLogRefusal(log, clock),
    unfinished: new Unfinished(UNFINISHED_REQUESTS_BYTES),
    connections: new Connections(connectionLimit(), log, clock),
  }
  const httpParts = {
    ...shared,
    health: () => devices(PROBE_USER),
    store: parts.store,
    view,
    listen: options.listen,
    get statusFrom() {
      return options.statusFrom
    },
    get padTopic() {
      return options.padTopic
    },
  }
  return {
    line: () => makeLineServer(shared, clock),
    http: () => makeHttpServer(httpParts, clock),
    events: () => events.makeServer(),
  }
}

type Served = LineServer | HttpServer | ReturnType<EventTaker['makeServer']>

/** Makes a server listen; resolves with the file that it made, if it did. */
type Open = (server: Server) => Promise<SocketFile | undefined>

function toListener({ server, close }: Served, open: Open, log: Log): Listener {
  let file: SocketFile | undefined
  return {
    server,
    async open() {
      file = await open(server)
      // Once open a server has an error when it runs out of descriptors: the connection is lost, it goes on listening.
      server.on('error', error => log.warn('a connection could not be accepted', { reason: reasonOf(error) }))
    },
    async close() {
      file?.remove()
      await close(STAGES.listenersMs)
    },
  }
}
