/**
 * A simulated world: two hosts, two workers and a companion, made by the production's own `openDeliverySide` and
 * `startServing`, with a store, an Apple and phones around them. Plays the steps of a plan.
 */

import type * as Payload from '../../plugins/xaps/apns/payload.ts'
import type * as RequestModule from '../../plugins/xaps/apns/request.ts'
import type { Fields, Level, Log } from '../../plugins/xaps/base/log.ts'
import { formatLine, makeLog } from '../../plugins/xaps/base/log.ts'
import { parseConfig } from '../../plugins/xaps/config/config.ts'
import { decodeRecord } from '../../plugins/xaps/device/codec.ts'
import type { ListenerParts } from '../../plugins/xaps/registration/connections.ts'
import type * as Service from '../../plugins/xaps/service.ts'
import type * as ServingModule from '../../plugins/xaps/serving.ts'
import { Apple, clientModule, STARTED } from './apple.ts'
import { type Caller, Database } from './database.ts'
import { Disk } from './disk.ts'
import { mailboxesOf, numberOf, Oracle, tokenOf } from './oracle.ts'
import { type Plan, PROCESSES, type ProcessName, type Step } from './plan.ts'
import { BEGINNING, type Host, SimulatedProcess } from './process.ts'
import { type Mutation, Realm } from './realm.ts'
import { MS, Scheduler, SECOND } from './scheduler.ts'
import { openModule } from './store.ts'

const TOPIC = 'com.apple.mail.XServer.simulated'
const SUBTOPIC = 'com.apple.mobilemail'

const CONFIGS = {
  lmdb: parseConfig('', '/haraka'),
  redis: parseConfig('[store]\nuri = redis://store:6379', '/haraka'),
} as const

const CREDENTIALS = {
  auth: { kind: 'certificate', cert: '', key: '' },
  topic: TOPIC,
  topics: [TOPIC],
} as const

/** A process that runs. */
interface Running {
  readonly pending: () => number
  readonly spooled: () => number
  readonly mail?: Service.DeliverySide['push']
  readonly door?: ListenerParts
  readonly close: () => Promise<void>
}

/** Whether the plugin keeps a journal of pending pushes. */
const JOURNALED = false

export interface WorldOptions {
  readonly mutation?: Mutation | undefined
  /** Whether pending pushes outlive their process: JOURNALED unless told otherwise. */
  readonly survives?: boolean
}

export class World {
  readonly scheduler: Scheduler
  readonly oracle: Oracle
  readonly trace: string[] = []
  readonly #plan: Plan
  readonly #options: WorldOptions
  readonly #hosts: readonly Host[]
  readonly #store: Database
  readonly #spool: Database
  readonly #claims = new Map<string, number>()
  readonly #apple: Apple
  readonly #processes: Readonly<Record<ProcessName, SimulatedProcess>>
  readonly #running = new Map<ProcessName, Running>()
  /** How long one that is killed stays down, in milliseconds. */
  readonly #downMs = new Map<string, number>()
  /** Those whose journal is not on disk, or will not be: it was full in their life, or has lost its power. */
  readonly #unwritten = new Set<SimulatedProcess>()
  /** Listeners to a store that answers again. */
  #ready: { readonly process: SimulatedProcess; readonly listener: () => void }[] = []
  /** Phones whose account is removed, and since when, by Apple's clock. */
  readonly #dead = new Map<string, number>()
  readonly #generations: number[]
  /** When each phone has last asked to be registered. */
  readonly #askedAt = new Map<number, number>()

  constructor(plan: Plan, options: WorldOptions) {
    const scheduler = new Scheduler(plan.seed)
    const now = () => scheduler.now
    const appleMs = () => BEGINNING + Math.floor(scheduler.now / MS)
    this.scheduler = scheduler
    this.#plan = plan
    this.#options = options
    this.#generations = plan.owners.map(() => 0)
    this.oracle = new Oracle(plan.owners, { now, wallMs: appleMs }, { survives: JOURNALED, ...options })
    this.#hosts = ['one', 'two'].map(name => ({ name, disk: new Disk(), aheadMs: 0 }))
    const [one, two] = this.#hosts as [Host, Host]
    this.#store = new Database(scheduler, plan.store === 'redis', (key, text) => this.#changed(key, text))
    this.#spool = new Database(scheduler, false, () => one.disk.touch('/haraka/xaps-spool/data.mdb'))
    this.#apple = new Apple({
      scheduler,
      now: appleMs,
      deadSince: token => this.#dead.get(token),
      arrived: arrival => {
        const { process, token, status, reason, startedUs } = arrival
        this.say(
          'apple',
          `${status} ${reason} to ${process}, device ${numberOf(token)}, begun at ${startedUs}`,
        )
        this.oracle.arrived(arrival)
      },
      answered: arrival => this.oracle.answered(arrival),
    })
    const pids = new Map<number, SimulatedProcess>()
    const events = {
      died: (process: SimulatedProcess) => this.#died(process),
      failed: (process: SimulatedProcess, error: unknown) =>
        this.oracle.breaks('alive', `${process.name}: ${(error as Error).stack}`),
    }
    const make = (name: ProcessName, host: Host) => new SimulatedProcess(name, host, scheduler, pids, events)
    this.#processes = {
      worker1: make('worker1', one),
      worker2: make('worker2', plan.store === 'redis' ? two : one),
      companion: make('companion', one),
    }
  }

  say(who: string, what: string): void {
    this.trace.push(`${(this.scheduler.now / SECOND).toFixed(6)} ${who}: ${what}`)
  }

  /** Plays the plan, ends all faults, and waits until all is done, or should be. */
  async play(): Promise<void> {
    for (const name of PROCESSES) this.#start(name)
    for (const step of this.#plan.steps) {
      await this.scheduler.advance(step.atMs * MS - this.scheduler.now)
      this.#take(step)
    }
    await this.#recover()
    this.oracle.end(this.#left())
  }

  async #recover(): Promise<void> {
    await this.scheduler.advance(SECOND)
    this.say('world', 'all faults end')
    this.#heal()
    for (let seconds = 0; seconds < RECOVERED_S && !this.#isDone(); seconds += 1)
      await this.scheduler.advance(SECOND)
  }

  #heal(): void {
    this.#apple.trouble = {}
    this.#apple.limitStreams(100)
    this.#setStore(undefined)
    for (const host of this.#hosts) this.#setFull(host, undefined)
    for (const name of PROCESSES) {
      this.#processes[name].killAfter(Number.POSITIVE_INFINITY)
      this.#start(name)
    }
  }

  #left(): { pending: number; spooled: number } {
    const all = PROCESSES.map(name => this.#running.get(name))
    const sum = (count: (running: Running) => number) =>
      all.reduce((total, running) => total + (running ? count(running) : 0), 0)
    return { pending: sum(({ pending }) => pending()), spooled: sum(({ spooled }) => spooled()) }
  }

  #isDone(): boolean {
    const { pending, spooled } = this.#left()
    return pending + spooled + this.oracle.open === 0 && this.#spool.keys().length === 0
  }

  #changed(key: string, text: string | undefined): void {
    const [, user] = /^device:u(\d+)@/.exec(key) ?? []
    if (user === undefined) return
    const devices = text === undefined ? [] : decodeRecord(text).devices
    this.say(
      'store',
      `user ${user} has ${devices.map(({ token, mailboxes }) => `${numberOf(token)}/${mailboxes[1]}`)}`,
    )
    this.oracle.stored(Number(user), devices)
  }

  #start(name: ProcessName): void {
    const process = this.#processes[name]
    if (process.alive) return
    process.begin()
    this.say(name, 'starts')
    this.#unwritten.delete(process)
    if (process.host.disk.room !== undefined) this.#unwritten.add(process)
    const realm = this.#realmOf(process)
    if (name === 'companion') this.#startCompanion(process, realm)
    else this.#startWorker(process, realm)
  }

  #startWorker(process: SimulatedProcess, realm: Realm): void {
    const { openDeliverySide } = realm.load<typeof Service>('service')
    const side = openDeliverySide(this.#settings(), { get: () => [] }, this.#logOf(process))
    this.#running.set(process.name as ProcessName, {
      pending: () => side.report().pending,
      spooled: () => 0,
      mail: delivery => side.push(delivery),
      close: () => side.close(),
    })
  }

  #startCompanion(process: SimulatedProcess, realm: Realm): void {
    const { startServing } = realm.load<typeof ServingModule>('serving')
    const listening = { inherited: [{ protocol: 'line', fd: 3 }], socketOwner: {}, retry: true } as const
    const log = this.#logOf(process)
    startServing(this.#settings(), listening, log).then(
      serving => {
        const door = this.#doors.get(process)
        if (!process.alive || !door) return
        const count = (what: string) => Number(new RegExp(`${what}=(\\d+)`).exec(door.status())?.[1])
        const running = { pending: () => count('pending'), spooled: () => count('spooled') }
        this.#running.set('companion', { ...running, door, close: () => serving.close() })
        serving.openStore().catch(error => log.error('the store cannot be opened', { reason: String(error) }))
      },
      error => process.alive && this.oracle.breaks('alive', `the companion cannot start: ${error.stack}`),
    )
  }

  readonly #doors = new Map<SimulatedProcess, ListenerParts>()

  #settings() {
    return { config: CONFIGS[this.#plan.store], credentials: CREDENTIALS }
  }

  #realmOf(process: SimulatedProcess): Realm {
    const { scheduler } = this
    const caller = process.caller()
    const started = (real: typeof Payload) => ({
      ...real,
      makePush: (...args: Parameters<typeof Payload.makePush>) => {
        const push = real.makePush(...args)
        return { ...push, headers: { ...push.headers, [STARTED]: scheduler.now } }
      },
    })
    const lineServer = (door: ListenerParts) => {
      this.#doors.set(process, door)
      return { server: { on: () => undefined, address: () => null }, close: async () => undefined }
    }
    const request = () => realm.load<typeof RequestModule>('apns/request').request as never
    const modules: Record<string, unknown> = {
      ...process.modules(),
      'apns/payload': started,
      'apns/client': clientModule(() => this.#apple, caller, process.name, request),
      'base/version': { packageVersion: () => 'simulated' },
      'process/listener': { listenInherited: async () => undefined },
      'registration/line-server': { makeLineServer: lineServer },
    }
    const realm = new Realm({ globals: process.globals(), modules }, this.#options.mutation)
    modules['device/open'] = openModule(realm, uri => this.#placeOf(process, caller, uri))
    return realm
  }

  #placeOf(process: SimulatedProcess, caller: Caller, uri: string) {
    const isSpool = uri.endsWith('xaps-spool')
    const now = () => BEGINNING + Math.floor(this.scheduler.now / MS)
    const claims = this.#plan.store === 'redis' ? { lasts: this.#claims, now } : undefined
    return {
      database: isSpool ? this.#spool : this.#store,
      caller,
      claims: isSpool ? undefined : claims,
      claimFailed: (push: string) => this.oracle.unsure(process.name, numberOf(push.split('/')[1] ?? '')),
      onReady: (listener: () => void) => {
        if (!isSpool) this.#ready.push({ process, listener })
      },
    }
  }

  #logOf(process: SimulatedProcess): Log {
    return makeLog((level: Level, message: string, fields?: Fields) => {
      if (!process.alive) return
      const text = formatLine(message, fields)
      if (level !== 'debug') this.say(process.name, `${level} ${text}`)
      this.oracle.logged(process.name, level, text, message)
    })
  }

  #died({ name }: SimulatedProcess): void {
    this.say(name, 'is dead')
    this.#running.delete(name as ProcessName)
    this.#doors.delete(this.#processes[name as ProcessName])
    this.#ready = this.#ready.filter(({ process }) => process.alive)
    for (const session of [...this.#apple.sessions])
      if (session.process === name) this.#apple.sessions.delete(session)
    const process = this.#processes[name as ProcessName]
    this.oracle.died(name, !this.#unwritten.has(process))
    this.#startIn(name as ProcessName, this.#downMs.get(name) ?? 0)
  }

  #startIn(name: ProcessName, ms: number): void {
    this.scheduler.after(ms * MS, () => this.#start(name))
  }

  #take(step: Step): void {
    this.say('plan', JSON.stringify(step))
    switch (step.does) {
      case 'mail':
        return this.#mail(step.process, step.user)
      case 'change':
        return this.#change(step.user)
      case 'register':
        return this.#register(step.device)
      case 'gone':
        for (const device of step.devices) this.#remove(tokenOf(device))
        return
      case 'kill':
        this.#downMs.set(step.process, step.downMs)
        return this.#processes[step.process].killAfter(step.effects)
      case 'restart':
        return this.#restart(step.process)
      case 'power':
        return this.#losePower(this.#hostOf(step.host), step.downMs)
      case 'store':
        this.#setStore(step.trouble)
        this.scheduler.after(step.forMs * MS, () => this.#setStore(undefined))
        return
      case 'forget':
        this.#forget()
        return
      case 'full':
        this.#setFull(this.#hostOf(step.host), step.room)
        this.scheduler.after(step.forMs * MS, () => this.#setFull(this.#hostOf(step.host), undefined))
        return
      case 'apple':
        this.#apple.trouble = step.trouble
        this.scheduler.after(step.forMs * MS, () => {
          if (this.#apple.trouble === step.trouble) this.#apple.trouble = {}
        })
        return
      case 'sessions':
        return this.#apple.endSessions(step.orderly)
      case 'streams':
        return this.#apple.limitStreams(step.most)
      case 'clock':
        this.#hostOf(step.host).aheadMs += step.ms
        this.#tellClaims()
        this.oracle.clocksJumped = true
        if (this.#plan.store === 'redis' && step.ms > 0) this.oracle.agesSince = this.scheduler.now
    }
  }

  /** With LMDB there is one host. */
  #hostOf(number: number): Host {
    return this.#hosts[this.#plan.store === 'lmdb' ? 0 : number] as Host
  }

  #mail(name: ProcessName, user: number): void {
    const running = this.#running.get(name)
    if (!running?.mail) return
    const recipients = [{ user: `u${user}`, host: 'example.org' }]
    running.mail({ recipients, mode: 'LMTP', at: this.#processes[name].wallMs(), mail: undefined })
    this.oracle.took(name, user, this.scheduler.now, `a mail to user ${user}`)
  }

  #change(user: number): void {
    const door = this.#running.get('companion')?.door
    if (!door) return
    const process = this.#processes.companion
    const at = this.scheduler.now
    const change = { user: `u${user}@example.org`, mailbox: 'INBOX', events: ['FlagsSet'] }
    door.notify(change, process.wallMs()).then(
      () => process.alive && this.oracle.took('companion', user, at, `a change of user ${user}`),
      error => this.oracle.breaks('alive', `notify rejects: ${error}`),
    )
  }

  #register(device: number): void {
    const token = tokenOf(device)
    this.#dead.delete(token)
    const door = this.#running.get('companion')?.door
    const at = this.scheduler.now
    // Two in one millisecond have no order.
    if (!door || this.#askedAt.get(device) === at) return
    this.#askedAt.set(device, at)
    const process = this.#processes.companion
    const generation = (this.#generations[device] ?? 0) + 1
    this.#generations[device] = generation
    const user = `u${this.#plan.owners[device]}@example.org`
    const request = {
      user,
      account: `A${device}`,
      token,
      subtopic: SUBTOPIC,
      mailboxes: mailboxesOf(generation),
    }
    const { pid } = process
    door.accept(request, process.wallMs()).then(
      () => {
        if (!process.isLife(pid)) return
        this.say('companion', `has registered device ${device}/g${generation}`)
        this.oracle.registered(device, generation, at)
      },
      () => process.isLife(pid) && this.say('companion', `refuses device ${device}/g${generation}`),
    )
  }

  #remove(token: string): void {
    if (!this.#dead.has(token)) this.#dead.set(token, BEGINNING + Math.floor(this.scheduler.now / MS))
  }

  #restart(name: ProcessName): void {
    const process = this.#processes[name]
    const running = this.#running.get(name)
    if (!running || !process.alive) return
    const { pid } = process
    this.#running.delete(name)
    this.oracle.hurried.add(name)
    const ended = () => {
      this.oracle.hurried.delete(name)
      this.#downMs.set(name, 0)
      if (process.isLife(pid)) process.killAfter(0)
    }
    running
      .close()
      .catch(
        error => process.isLife(pid) && this.oracle.breaks('alive', `${name} cannot close: ${error.stack}`),
      )
    this.scheduler.after(7 * SECOND, ended)
  }

  #setStore(trouble: Database['trouble']): void {
    const was = this.#store.trouble
    this.#store.trouble = trouble
    this.#tellClaims()
    if (trouble !== undefined || was === undefined) return
    for (const { process, listener } of this.#ready)
      process.after(this.scheduler.between(0, 500 * MS), listener)
  }

  #forget(): void {
    if (this.#plan.store === 'lmdb') return
    this.#store.losePower()
    this.#claims.clear()
    this.#tellClaims()
  }

  #losePower(host: Host, downMs: number): void {
    for (const name of PROCESSES) {
      const process = this.#processes[name]
      if (process.host !== host) continue
      this.#downMs.set(name, downMs + this.scheduler.random.below(500))
      this.#unwritten.add(process)
      if (process.alive) process.killAfter(0)
    }
    host.disk.losePower()
    if (this.#plan.store === 'lmdb') this.#store.losePower()
    if (host === this.#hosts[0]) this.#spool.losePower()
    this.#tellClaims()
  }

  /** Whether claims work: from now on, or not. */
  #tellClaims(): void {
    const isBroken =
      this.#plan.store === 'redis'
        ? this.#store.trouble !== undefined
        : this.#hosts.some(({ disk }) => disk.room !== undefined)
    this.oracle.claimsWork(!isBroken)
  }

  #setFull(host: Host, room: number | undefined): void {
    host.disk.room = room
    if (room !== undefined)
      for (const process of Object.values(this.#processes))
        if (process.host === host) this.#unwritten.add(process)
    const places = this.#plan.store === 'lmdb' ? [this.#store, this.#spool] : [this.#spool]
    if (host === this.#hosts[0]) for (const place of places) place.full = room !== undefined
    this.#tellClaims()
  }
}

/** How long it may take until all is done when the faults are over: credentials are tried once a minute. */
const RECOVERED_S = 150
