/**
 * The registration side as a whole: opens both doors, serves them, empties the spool, and closes in order. Knows
 * neither the store nor Apple; it is given functions. Who runs it, and in what process, is not its business.
 */

import type { AddressInfo, Server } from 'node:net'
import { type Clock, systemClock } from '../clock.ts'
import type { Device } from '../device/device.ts'
import type { MailEvent } from '../event.ts'
import { type Log, reasonOf } from '../log.ts'
import { groupId, userId } from '../owner.ts'
import { Connections, connectionLimit } from './connections.ts'
import type { DoorParts } from './door.ts'
import { makeHttpServer } from './http-server.ts'
import { makeLineServer } from './line-server.ts'
import { listenInherited, listenTcp } from './listener.ts'
import { makeNotify, type Notified } from './notify.ts'
import { keepOpening } from './opening.ts'
import { Outages } from './outages.ts'
import { makeLogRefusal } from './refusal.ts'
import { makeRegister } from './register.ts'
import { openSpool, type Spool, type SpoolEntry } from './spool.ts'
import { UNFINISHED_REQUESTS_BYTES, Unfinished } from './unfinished.ts'
import { listenUnixSocket, type SocketFile } from './unix-socket.ts'

/** Requests in hand when the companion closes get so long, in milliseconds. */
const GRACE_MS = 1_000

/** A user that nobody has: looked up to see whether the store answers. */
const NOBODY = 'healthz'

export interface CompanionOptions {
  /** A socket that the parent bound and passed on as this descriptor; otherwise `socket` is opened. */
  readonly socketFd?: number | undefined
  /** The path of the Unix socket; empty for none. */
  readonly socket: string
  readonly socketMode: number
  /** Names or numbers; empty leaves them as they are. */
  readonly socketUser: string
  readonly socketGroup: string
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
  const { listen, padTopic } = options
  const http = listen.map((address): Door => {
    const { server, close } = makeHttpServer({ ...doorParts, health, listen, padTopic }, clock)
    return { server, open: () => listenTcp(server, address, log), close: () => close(GRACE_MS) }
  })
  const hasSocket = options.socketFd !== undefined || options.socket !== ''
  return hasSocket ? [socketDoor(options, doorParts, clock), ...http] : http
}

function socketDoor(options: CompanionOptions, doorParts: DoorParts, clock: Clock): Door {
  const { server, close } = makeLineServer(doorParts, clock)
  let file: SocketFile | undefined
  return {
    server,
    async open() {
      if (options.socketFd === undefined) file = await listenUnixSocket(server, socketOptions(options))
      else await listenInherited(server, options.socketFd)
    },
    async close() {
      file?.remove()
      await close(GRACE_MS)
    },
  }
}

/** What unix-socket.ts needs to know of the Unix socket. Throws when there is no such user or group. */
export function socketOptions(
  options: Pick<CompanionOptions, 'socket' | 'socketMode' | 'socketUser' | 'socketGroup'>,
) {
  return {
    path: options.socket,
    mode: options.socketMode,
    uid: options.socketUser === '' ? undefined : userId(options.socketUser),
    gid: options.socketGroup === '' ? undefined : groupId(options.socketGroup),
  }
}

async function openDoor({ server, open }: Door, log: Log): Promise<void> {
  await open()
  // Once open a server has an error when it runs out of descriptors: the connection is lost, the door stays open.
  server.on('error', error => log.warn('a connection could not be accepted', { reason: reasonOf(error) }))
}
