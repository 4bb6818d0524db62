/**
 * The registration side as a whole: opens both doors, serves them, empties the spool, and closes in order. Knows
 * neither the store nor Apple; it is given functions. Who runs it, and in what process, is not its business.
 */

import type { AddressInfo, Server } from 'node:net'
import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import type { Device } from '../device/device.ts'
import type { MailEvent } from '../event.ts'
import { listenInherited, listenTcp } from '../process/listener.ts'
import { keepOpening } from '../process/retry-listen.ts'
import { listenUnixSocket, type SocketFile } from '../process/unix-socket.ts'
import { Connections, connectionLimit } from './connections.ts'
import { type HttpServer, makeHttpServer } from './http-server.ts'
import { type LineServer, makeLineServer } from './line-server.ts'
import type { DoorParts } from './listener-parts.ts'
import { makeNotify, type Notified } from './notify.ts'
import { Outages } from './outages.ts'
import { makeLogRefusal } from './refusal.ts'
import { makeRegister } from './register.ts'
import { openSpool, type Spool, type SpoolEntry } from './spool.ts'
import { UNFINISHED_REQUESTS_BYTES, Unfinished } from './unfinished.ts'

/** Requests in hand when the companion closes get so long, in milliseconds. */
const GRACE_MS = 1_000

/** A user that nobody has: looked up to see whether the store answers. */
const NOBODY = 'healthz'

/** A door that the parent has bound and passed on: which protocol, and as which descriptor. */
export interface InheritedDoor {
  readonly protocol: 'line' | 'http'
  readonly fd: number
}

export interface CompanionOptions {
  /** All doors, where the parent has bound them; otherwise `socket` and `listen` are opened. */
  readonly inherited?: readonly InheritedDoor[] | undefined
  /** The path of the Unix socket; empty for none. */
  readonly socket: string
  readonly socketMode: number
  /** Undefined leaves them as they are. */
  readonly socketOwner: { readonly uid?: number | undefined; readonly gid?: number | undefined }
  /** Addresses for HTTP, as parseTcpAddress takes them. */
  readonly listen: readonly string[]
  readonly subtopics: readonly string[]
  readonly notified: Notified
  /** A topic of 50 bytes or fewer is padded in HTTP's answer. */
  readonly padTopic: boolean
  readonly lowercase: boolean
  readonly spoolDir: string
  /** A door that cannot be opened is tried again for as long as it takes, instead of failing the start. */
  readonly retry?: boolean | undefined
}

export interface CompanionParts {
  /**
   * Saves a registration in the store: a live one, or one out of the spool, which is no news if the store has heard
   * later ones of its device.
   */
  readonly save: (entry: SpoolEntry, origin: { readonly live: boolean }) => Promise<unknown>
  /** Has `listener` called whenever the store answers again. */
  readonly onReady: (listener: () => void) => void
  readonly devices: (user: string) => Promise<readonly Device[]>
  /** Takes an event for pushing; returns at once. */
  readonly submit: (event: MailEvent, devices?: readonly Device[]) => void
  /** How many devices wait for a push. */
  readonly pending: () => number
  /** The topic that phones are told. Throws when there is none. */
  readonly topic: () => string
  readonly log: Log
}

export interface Companion {
  /** Where it is reached by HTTP: what is open of `listen`. */
  addresses(): readonly AddressInfo[]
  /** Stops accepting, finishes what is in hand (a second at most), removes its socket file. */
  close(): Promise<void>
}

/** Something to knock at. `open` may be called again after it has rejected. */
interface Door {
  readonly server: Server
  open(): Promise<unknown>
  close(): Promise<void>
}

/** Rejects when a door cannot be opened, unless `retry` is set. The message says which and why. */
export async function startCompanion(
  options: CompanionOptions,
  parts: CompanionParts,
  clock: Clock = systemClock,
): Promise<Companion> {
  const { log } = parts
  const spool = await openSpool(options.spoolDir, {}, log, clock)
  const outages = new Outages(log, clock)
  const doors = makeDoors(options, makeDoorParts(options, parts, spool, outages, clock), parts, clock)
  const openings = doors.map(door =>
    keepOpening(() => openDoor(door, log), { retry: options.retry ?? false, log }, clock),
  )
  const close = async () => {
    await Promise.all(openings.map(opening => opening.stop()))
    await Promise.all(doors.map(door => door.close()))
    await spool.close()
    outages.close()
  }
  try {
    await Promise.all(openings.map(opening => opening.tried))
  } catch (error) {
    await close()
    throw error
  }
  spool.start(entry => outages.watch('store', entry.user, parts.save(entry, { live: false })))
  parts.onReady(() => spool.saveNow())
  const addresses = () => doors.map(({ server }) => server.address()).filter(isTcp)
  return { addresses, close }
}

function isTcp(address: ReturnType<Server['address']>): address is AddressInfo {
  return typeof address === 'object' && address !== null && 'port' in address
}

function makeDoorParts(
  { notified, ...rules }: CompanionOptions,
  { save, devices, submit, pending, topic, log }: CompanionParts,
  spool: Spool,
  outages: Outages,
  clock: Clock,
): DoorParts {
  const startedAt = clock.now()
  const upSeconds = () => Math.round((clock.now() - startedAt) / 1000)
  return {
    status: () => `pid=${process.pid} up_seconds=${upSeconds()} spooled=${spool.size} pending=${pending()}`,
    register: makeRegister({ save: entry => save(entry, { live: true }), spool, outages, topic }, clock),
    notify: makeNotify({ devices, submit, notified }, clock),
    rules,
    logRefusal: makeLogRefusal(log, clock),
    unfinished: new Unfinished(UNFINISHED_REQUESTS_BYTES),
    connections: new Connections(connectionLimit(), log, clock),
  }
}

function makeDoors(
  options: CompanionOptions,
  doorParts: DoorParts,
  { devices, log }: CompanionParts,
  clock: Clock,
): Door[] {
  const health = () => devices(NOBODY)
  const { inherited, socket: path, socketMode: mode, socketOwner, listen, padTopic } = options
  const line = (open: Open) => toDoor(makeLineServer(doorParts, clock), open)
  const http = (open: Open) => toDoor(makeHttpServer({ ...doorParts, health, listen, padTopic }, clock), open)
  if (inherited) {
    return inherited.map(({ protocol, fd }) =>
      (protocol === 'line' ? line : http)(server => listenInherited(server, fd)),
    )
  }
  const overHttp = listen.map(address => http(server => listenTcp(server, address, log)))
  if (path === '') return overHttp
  return [line(server => listenUnixSocket(server, { path, mode, ...socketOwner })), ...overHttp]
}

/** Makes a server listen; resolves with the file that it made, if it did. */
type Open = (server: Server) => Promise<SocketFile | undefined>

function toDoor({ server, close }: LineServer | HttpServer, open: Open): Door {
  let file: SocketFile | undefined
  return {
    server,
    async open() {
      file = await open(server)
    },
    async close() {
      file?.remove()
      await close(GRACE_MS)
    },
  }
}

async function openDoor({ server, open }: Door, log: Log): Promise<void> {
  await open()
  // Once open a server has an error when it runs out of descriptors: the connection is lost, the door stays open.
  server.on('error', error => log.warn('a connection could not be accepted', { reason: reasonOf(error) }))
}
