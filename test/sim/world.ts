/**
 * A simulated world: two hosts, two workers and a companion, made by the production's own `openDeliverySide` and
 * `startServing`, with a store, an Apple and phones around them. Plays the steps of a plan.
 */

import type { Fields, Level, Log } from '../../plugins/xaps/base/log.ts'
import { formatLine, makeLog } from '../../plugins/xaps/base/log.ts'
import { decodeRecord } from '../../plugins/xaps/device/codec.ts'
import { Apple } from './apple.ts'
import { Oracle } from './oracle.ts'
import { Phones, toldOf } from './phones.ts'
import { type Plan, PROCESSES, type ProcessName, type Step } from './plan.ts'
import { JOURNALED, makeProcesses, type Running, startPlugin, type WorldOptions } from './plugin.ts'
import { BEGINNING, type Host, type SimulatedProcess } from './process.ts'
import { numberOf } from './promises.ts'
import { MS, Scheduler, SECOND } from './scheduler.ts'
import { Site } from './site.ts'

export class World {
  readonly scheduler: Scheduler
  readonly oracle: Oracle
  readonly trace: string[] = []
  readonly #plan: Plan
  readonly #options: WorldOptions
  readonly #site: Site
  readonly #apple: Apple
  readonly #processes: Readonly<Record<ProcessName, SimulatedProcess>>
  readonly #running = new Map<ProcessName, Running>()
  /** How long one that is killed stays down, in milliseconds. */
  readonly #downMs = new Map<string, number>()
  /** Those whose journal is not on disk, or will not be: it was full in their life, or has lost its power. */
  readonly #unwritten = new Set<SimulatedProcess>()
  readonly #phones: Phones

  constructor(plan: Plan, options: WorldOptions) {
    const scheduler = new Scheduler(plan.seed)
    const now = () => scheduler.now
    const appleMs = () => BEGINNING + Math.floor(scheduler.now / MS)
    this.scheduler = scheduler
    this.#plan = plan
    this.#options = options
    this.oracle = new Oracle(plan.owners, { now, wallMs: appleMs }, { survives: JOURNALED, ...options })
    this.#site = new Site(plan.store, scheduler, this.oracle, (key, text) => this.#changed(key, text))
    this.#apple = new Apple({
      scheduler,
      now: appleMs,
      deadSince: token => this.#phones.deadSince(token),
      arrived: arrival => {
        const { process, token, status, reason, startedUs } = arrival
        const device = numberOf(token)
        this.say('apple', `${status} ${reason} to ${process}, device ${device}, begun at ${startedUs}`)
        this.oracle.arrived(arrival)
      },
      answered: arrival => this.oracle.answered(arrival),
    })
    this.#processes = makeProcesses(plan.store, this.#site.hosts, scheduler, {
      died: process => this.#died(process),
      failed: ({ name }, error) => this.oracle.breaks('alive', `${name}: ${(error as Error).stack}`),
    })
    this.#phones = new Phones({
      scheduler,
      oracle: this.oracle,
      processes: this.#processes,
      running: this.#running,
      owners: plan.owners,
      say: (who, what) => this.say(who, what),
    })
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
    this.#site.setStore(undefined)
    for (const host of this.#site.hosts) this.#site.setRoom(host, undefined)
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
    return pending + spooled + this.oracle.open === 0 && this.#site.isSpoolEmpty
  }

  #changed(key: string, text: string | undefined): void {
    const [, user] = /^device:u(\d+)@/.exec(key) ?? []
    if (user === undefined) return
    const devices = text === undefined ? [] : decodeRecord(text).devices
    this.say('store', `user ${user} has ${toldOf(devices)}`)
    this.oracle.stored(Number(user), devices)
  }

  #start(name: ProcessName): void {
    const process = this.#processes[name]
    if (process.alive) return
    process.begin()
    this.say(name, 'starts')
    this.#unwritten.delete(process)
    if (process.host.disk.room !== undefined) this.#unwritten.add(process)
    startPlugin(process, {
      store: this.#plan.store,
      mutation: this.#options.mutation,
      apple: this.#apple,
      log: this.#logOf(process),
      placeOf: (caller, uri) => this.#site.placeOf(process, caller, uri),
      runs: running => this.#running.set(name, running),
      fails: how => this.oracle.breaks('alive', how),
    })
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
    this.#site.forgetDead()
    for (const session of [...this.#apple.sessions])
      if (session.process === name) this.#apple.sessions.delete(session)
    const process = this.#processes[name as ProcessName]
    this.oracle.died(name, !this.#unwritten.has(process))
    this.scheduler.after((this.#downMs.get(name) ?? 0) * MS, () => this.#start(name as ProcessName))
  }

  #take(step: Step): void {
    this.say('plan', JSON.stringify(step))
    switch (step.does) {
      case 'mail':
        return this.#phones.mail(step.process, step.user)
      case 'change':
        return this.#phones.change(step.user)
      case 'register':
        return this.#phones.register(step.device)
      case 'gone':
        for (const device of step.devices) this.#phones.remove(device)
        return
      case 'kill':
        this.#downMs.set(step.process, step.downMs)
        return this.#processes[step.process].killAfter(step.effects)
      case 'restart':
        return this.#restart(step.process)
      case 'power':
        return this.#losePower(this.#site.hostOf(step.host), step.downMs)
      case 'store':
        this.#site.setStore(step.trouble)
        this.scheduler.after(step.forMs * MS, () => this.#site.setStore(undefined))
        return
      case 'forget':
        return this.#site.forgetClaims()
      case 'full':
        return this.#fill(this.#site.hostOf(step.host), step.room, step.forMs)
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
        return this.#site.setClock(this.#site.hostOf(step.host), step.ms)
    }
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

  #losePower(host: Host, downMs: number): void {
    for (const process of this.#processesOn(host)) {
      this.#downMs.set(process.name, downMs + this.scheduler.random.below(500))
      this.#unwritten.add(process)
      if (process.alive) process.killAfter(0)
      this.oracle.lost(process.name)
    }
    this.#site.losePower(host)
  }

  #fill(host: Host, room: number, forMs: number): void {
    for (const process of this.#processesOn(host)) this.#unwritten.add(process)
    this.#site.setRoom(host, room)
    this.scheduler.after(forMs * MS, () => this.#site.setRoom(host, undefined))
  }

  #processesOn(host: Host): SimulatedProcess[] {
    return Object.values(this.#processes).filter(process => process.host === host)
  }
}

/** How long it may take until all is done when the faults are over: credentials are tried once a minute. */
const RECOVERED_S = 150
