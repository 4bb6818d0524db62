/**
 * One process's production code, started by the functions that Haraka's worker and the companion are started by, and joined to the
 * simulated world: the only place that knows what is put in the place of which module.
 */

import type * as Payload from '../../plugins/xaps/apns/payload.ts'
import type * as RequestModule from '../../plugins/xaps/apns/request.ts'
import type { Log } from '../../plugins/xaps/base/log.ts'
import { parseConfig } from '../../plugins/xaps/config/config.ts'
import type { ListenerParts } from '../../plugins/xaps/registration/connections.ts'
import type * as Service from '../../plugins/xaps/service.ts'
import type * as ServingModule from '../../plugins/xaps/serving.ts'
import { type Apple, STARTED } from './apple.ts'
import type { Caller } from './database.ts'
import type { Plan, ProcessName } from './plan.ts'
import { type Host, type ProcessEvents, SimulatedProcess } from './process.ts'
import { type Mutation, Realm } from './realm.ts'
import type { Scheduler } from './scheduler.ts'
import { clientModule } from './session.ts'
import { openModule, type StorePlace } from './store.ts'

const TOPIC = 'com.apple.mail.XServer.simulated'

const CONFIGS = {
  lmdb: parseConfig('', '/haraka'),
  redis: parseConfig('[store]\nuri = redis://store:6379', '/haraka'),
} as const

const CREDENTIALS = {
  auth: { kind: 'certificate', cert: '', key: '' },
  topic: TOPIC,
  topics: [TOPIC],
} as const

/** Whether the plugin keeps a journal of pending pushes. */
export const JOURNALED = true

export interface WorldOptions {
  readonly mutation?: Mutation | undefined
  /** Whether pending pushes outlive their process: JOURNALED unless told otherwise. */
  readonly survives?: boolean
}

/** A process that runs. */
export interface Running {
  readonly pending: () => number
  readonly spooled: () => number
  /** A worker's. */
  readonly mail?: Service.DeliverySide['push']
  /** The companion's: what its listeners have. */
  readonly door?: ListenerParts
  readonly close: () => Promise<void>
}

/** The processes of a world; with Redis the second worker has a host of its own. */
export function makeProcesses(
  store: Plan['store'],
  [one, two]: readonly [Host, Host],
  scheduler: Scheduler,
  events: ProcessEvents,
): Readonly<Record<ProcessName, SimulatedProcess>> {
  const pids = new Map<number, SimulatedProcess>()
  const make = (name: ProcessName, host: Host) => new SimulatedProcess(name, host, scheduler, pids, events)
  return {
    worker1: make('worker1', one),
    worker2: make('worker2', store === 'redis' ? two : one),
    companion: make('companion', one),
  }
}

/** The world around a process. */
export interface Around {
  readonly store: Plan['store']
  readonly mutation: Mutation | undefined
  readonly apple: Apple
  readonly log: Log
  readonly placeOf: (caller: Caller, uri: string) => StorePlace
  /** Called when it runs, and when it cannot. */
  readonly runs: (running: Running) => void
  readonly fails: (how: string) => void
}

/** Starts a worker or the companion in the process that has its name. */
export function startPlugin(process: SimulatedProcess, around: Around): void {
  const doors: ListenerParts[] = []
  const realm = realmOf(process, around, door => doors.push(door))
  if (process.name === 'companion') startCompanion(process, realm, doors, around)
  else startWorker(realm, around)
}

function startWorker(realm: Realm, { store, log, runs }: Around): void {
  const { openDeliverySide } = realm.load<typeof Service>('service')
  const settings = { config: CONFIGS[store], credentials: CREDENTIALS }
  const side = openDeliverySide(settings, { get: () => [] }, log)
  runs({
    pending: () => side.report().pending,
    spooled: () => 0,
    mail: delivery => side.push(delivery),
    close: () => side.close(),
  })
}

function startCompanion(
  process: SimulatedProcess,
  realm: Realm,
  doors: readonly ListenerParts[],
  { store, log, runs, fails }: Around,
): void {
  const { startServing } = realm.load<typeof ServingModule>('serving')
  const settings = { config: CONFIGS[store], credentials: CREDENTIALS }
  const listening = { inherited: [{ protocol: 'line', fd: 3 }], socketOwner: {}, retry: true } as const
  startServing(settings, listening, log).then(
    serving => {
      const [door] = doors
      if (!process.alive || !door) return
      const count = (what: string) => Number(new RegExp(`${what}=(\\d+)`).exec(door.status())?.[1])
      const counts = { pending: () => count('pending'), spooled: () => count('spooled') }
      runs({ ...counts, door, close: () => serving.close() })
      serving.openStore().catch(error => log.error('the store cannot be opened', { reason: String(error) }))
    },
    error => process.alive && fails(`the companion cannot start: ${error.stack}`),
  )
}

/** `opened`: told what the companion's listener would have. */
function realmOf(
  process: SimulatedProcess,
  { apple, placeOf, mutation }: Around,
  opened: (door: ListenerParts) => void,
): Realm {
  const caller = process.caller()
  const started = (real: typeof Payload) => ({
    ...real,
    makePush: (...args: Parameters<typeof Payload.makePush>) => {
      const push = real.makePush(...args)
      return { ...push, headers: { ...push.headers, [STARTED]: apple.world.scheduler.now } }
    },
  })
  const makeLineServer = (door: ListenerParts) => {
    opened(door)
    return { server: { on: () => undefined, address: () => null }, close: async () => undefined }
  }
  const request = () => realm.load<typeof RequestModule>('apns/request').request as never
  const modules: Record<string, unknown> = {
    ...process.modules(),
    'apns/payload': started,
    'apns/client': clientModule(apple, caller, process.name, request),
    'base/version': { packageVersion: () => 'simulated' },
    'process/listener': { listenInherited: async () => undefined },
    'registration/line-server': { makeLineServer },
  }
  const realm = new Realm({ globals: process.globals(), modules }, mutation)
  modules['device/open'] = openModule(realm, uri => placeOf(caller, uri))
  return realm
}
