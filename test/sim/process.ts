/**
 * One simulated process: production code with the world's time, a memory that is gone when it is killed, and a new life after
 * each start. What a dead one has still to do has no effect: its timers never go off, its answers never come, and it writes
 * nowhere. Knows nothing of what it runs.
 */

import { EventEmitter } from 'node:events'
import type { Caller } from './database.ts'
import type { Disk } from './disk.ts'
import { MS, type Scheduler } from './scheduler.ts'
import { cryptoBy, dateBy, mathBy, withProc } from './surroundings.ts'

/** When the simulated hosts' clocks begin, in ms since the epoch: in the middle of a period of the log of claims. */
export const BEGINNING = Date.UTC(2030, 0, 1, 0, 5)

/** Of a timer, in microseconds: Node's may be early by less than a millisecond, and are late in a busy process. */
const TIMER_US = { earliest: -600, latest: 2 * MS } as const

/** A machine with a disk and a wall clock, which may jump. */
export interface Host {
  readonly name: string
  readonly disk: Disk
  /** How far its clock is ahead, in milliseconds. */
  aheadMs: number
}

interface Life {
  readonly pid: number
  alive: boolean
  /** It dies after so many more effects of its own. */
  effectsLeft: number
}

export interface ProcessEvents {
  /** It has been killed, by its plan. */
  died(process: SimulatedProcess): void
  /** Something was thrown that would have ended a real one. */
  failed(process: SimulatedProcess, error: unknown): void
}

/** Thrown where a dead process goes on. */
class Dead extends Error {}

export class SimulatedProcess {
  readonly name: string
  readonly host: Host
  readonly #scheduler: Scheduler
  readonly #events: ProcessEvents
  readonly #pids: Map<number, SimulatedProcess>
  #life: Life = { pid: 0, alive: false, effectsLeft: Number.POSITIVE_INFINITY }
  #timers = new Map<object, () => void>()

  constructor(
    name: string,
    host: Host,
    scheduler: Scheduler,
    pids: Map<number, SimulatedProcess>,
    events: ProcessEvents,
  ) {
    this.name = name
    this.host = host
    this.#scheduler = scheduler
    this.#pids = pids
    this.#events = events
  }

  get alive(): boolean {
    return this.#life.alive
  }

  /** Of its present life, or its last. */
  get pid(): number {
    return this.#life.pid
  }

  /** Begins a new life. */
  begin(): void {
    const pid = 1_000 + this.#pids.size
    this.#life = { pid, alive: true, effectsLeft: Number.POSITIVE_INFINITY }
    this.#pids.set(pid, this)
  }

  /** kill -9, after `effects` more calls to disk, store, network or timers. */
  killAfter(effects: number): void {
    this.#life.effectsLeft = effects
    if (effects <= 0) this.#die()
  }

  #die(): void {
    if (!this.#life.alive) return
    this.#life.alive = false
    for (const cancel of this.#timers.values()) cancel()
    this.#timers = new Map()
    this.#events.died(this)
  }

  /** One effect; false when it was the last. */
  #counted(life: Life): boolean {
    life.effectsLeft -= 1
    if (life === this.#life && life.effectsLeft <= 0) this.#die()
    return life.alive
  }

  /** Runs `run` in this life, in `us` microseconds. */
  after(us: number, run: () => void): () => void {
    return this.#afterIn(this.#life, us, run)
  }

  /** What is called in its present life is answered in that life, or never. */
  caller(): Caller {
    const life = this.#life
    return { after: (us, run) => void this.#afterIn(life, us, run) }
  }

  #afterIn(life: Life, us: number, run: () => void): () => void {
    return this.#scheduler.after(us, () => {
      if (life.alive && this.#counted(life)) this.#guarded(run)
    })
  }

  #guarded(run: () => void): void {
    try {
      run()
    } catch (error) {
      if (this.alive) this.#events.failed(this, error)
    }
  }

  wallMs(): number {
    return BEGINNING + this.host.aheadMs + Math.floor(this.#scheduler.now / MS)
  }

  /** What stands in the place of Node's globals. */
  globals(): Record<string, unknown> {
    const clear = (timer: object) => this.#clear(timer)
    return {
      Date: dateBy(() => this.wallMs()),
      Math: mathBy(this.#scheduler.random),
      performance: { now: () => this.#scheduler.now / MS },
      process: this.#process(),
      setTimeout: (run: () => void, ms = 0) => this.#timer(run, ms),
      setInterval: (run: () => void, ms: number) => this.#interval(run, ms),
      setImmediate: (run: () => void) => this.#soon(run),
      clearTimeout: clear,
      clearInterval: clear,
      clearImmediate: clear,
    }
  }

  /** What stands in the place of Node's modules. */
  modules(): Record<string, unknown> {
    const isAlive = (pid: number) => {
      const found = this.#pids.get(pid)
      return found?.host === this.host && found.isLife(pid)
    }
    const sleep = (ms: number, value?: unknown) =>
      new Promise(resolve => this.#timer(() => resolve(value), ms))
    const immediate = (value?: unknown) => new Promise(resolve => this.#soon(() => resolve(value)))
    return {
      'node:fs': withProc(this.host.disk.fs(this.#watcher()), isAlive),
      'node:crypto': cryptoBy(this.#scheduler.random),
      'node:timers/promises': { setTimeout: sleep, setImmediate: immediate },
    }
  }

  /** Kills before an operation on the disk has had its effect, or after it. */
  #watcher() {
    return {
      before: () => {
        if (!this.alive) throw new Dead('a dead process writes nothing')
      },
      after: () => {
        if (!this.#counted(this.#life)) throw new Dead('killed')
      },
    }
  }

  #process(): unknown {
    const self = this
    const kill = (pid: number) => {
      if (this.#pids.get(pid)?.isLife(pid)) return true
      throw Object.assign(new Error('kill ESRCH'), { code: 'ESRCH' })
    }
    return Object.assign(new EventEmitter(), {
      get pid() {
        return self.#life.pid
      },
      kill,
      env: {},
      platform: 'linux',
      geteuid: () => 1_000,
      getuid: () => 1_000,
      nextTick: process.nextTick,
      stderr: { write: () => true },
    })
  }

  /** Whether its life is the one with this process id. */
  isLife(pid: number): boolean {
    return this.#life.alive && this.#life.pid === pid
  }

  #timer(run: () => void, ms: number): object {
    const slack = this.#scheduler.between(TIMER_US.earliest, TIMER_US.latest)
    return this.#schedule(run, Math.max(1, ms) * MS + slack)
  }

  #soon(run: () => void): object {
    return this.#schedule(run, this.#scheduler.between(1, 50))
  }

  #schedule(run: () => void, us: number): object {
    const timer = handle()
    if (!this.alive) return timer
    const cancel = this.after(us, () => {
      this.#timers.delete(timer)
      run()
    })
    this.#timers.set(timer, cancel)
    return timer
  }

  #interval(run: () => void, ms: number): object {
    const timer = handle()
    const again = () => {
      if (this.alive) this.#timers.set(timer, this.after(Math.max(1, ms) * MS, tick))
    }
    const tick = () => {
      again()
      run()
    }
    again()
    return timer
  }

  #clear(timer: object): void {
    this.#timers.get(timer)?.()
    this.#timers.delete(timer)
  }
}

function handle(): object {
  const timer = { unref: () => timer, ref: () => timer, hasRef: () => true }
  return timer
}
