/**
 * The bytes of a simulated device store, which any number of processes reach: slow, refusing, silent, or without what was
 * not synced after a failure. It promises what LMDB and Redis promise: a change is compared and made at once, and is
 * acknowledged when it is synced. Knows no record.
 */

import { MS, type Scheduler } from './scheduler.ts'

export interface Row {
  readonly text: string
  readonly version: number
}

/** `silent`: calls are kept, and answered when it is over, or never. */
export type Trouble = 'slow' | 'refuses' | 'silent'

/** How long calls take in microseconds: there, and back. */
const LATENCY = { normal: [20, 2 * MS], slow: [50 * MS, 900 * MS] } as const

/** Whoever calls: dead when its answer comes, perhaps. */
export interface Caller {
  /** Schedules what happens in the caller's process. */
  after(us: number, run: () => void): void
}

export class Database {
  readonly #scheduler: Scheduler
  /** Told of every change as it becomes visible, and again when it is undone. */
  readonly #changed: (key: string, text: string | undefined) => void
  readonly #rows = new Map<string, Row>()
  /** Of rows that are not synced: what was there before. */
  readonly #unsynced = new Map<string, Row | undefined>()
  #trouble: Trouble | undefined
  #held: (() => void)[] = []
  #versions = 0
  /** Nothing can be written. */
  full = false

  constructor(scheduler: Scheduler, changed: (key: string, text: string | undefined) => void) {
    this.#scheduler = scheduler
    this.#changed = changed
  }

  get trouble(): Trouble | undefined {
    return this.#trouble
  }

  set trouble(trouble: Trouble | undefined) {
    this.#trouble = trouble
    if (trouble === 'silent') return
    // Half of the calls have been lost on the way.
    for (const go of this.#held.splice(0)) if (this.#scheduler.random.below(2) === 0) go()
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key)
  }

  keys(): string[] {
    return [...this.#rows.keys()].sort()
  }

  /** One call of a process: `effect` happens here, whether the caller lives to hear of it or not. */
  call<T>(caller: Caller, effect: () => T): Promise<T> {
    const [from, to] = this.#trouble === 'slow' ? LATENCY.slow : LATENCY.normal
    const wait = () => this.#scheduler.between(from, to)
    return new Promise((resolve, reject) => {
      const arrive = () => {
        if (this.#trouble === 'silent') return void this.#held.push(arrive)
        if (this.#trouble === 'refuses')
          return caller.after(wait(), () => reject(new Error('the simulated store refuses')))
        const result = effect()
        caller.after(wait(), () => resolve(result))
      }
      this.#scheduler.after(wait(), arrive)
    })
  }

  /** Writes where the version is still the same; resolves with whether it was, when it is synced. */
  async replace(caller: Caller, key: string, version: number, text: string | undefined): Promise<boolean> {
    const changed = await this.call(caller, () => {
      if (this.full) return undefined
      if ((this.#rows.get(key)?.version ?? 0) !== version) return false
      if (!this.#unsynced.has(key)) this.#unsynced.set(key, this.#rows.get(key))
      this.#put(key, text === undefined ? undefined : { text, version: ++this.#versions })
      return true
    })
    if (changed === undefined) throw new Error('no space left on device')
    if (!changed) return false
    await this.call(caller, () => void this.#unsynced.delete(key))
    return true
  }

  /** Forgets what was not synced. */
  forget(): void {
    for (const [key, before] of this.#unsynced) this.#put(key, before)
    this.#unsynced.clear()
  }

  #put(key: string, row: Row | undefined): void {
    if (row) this.#rows.set(key, row)
    else this.#rows.delete(key)
    this.#changed(key, row?.text)
  }
}
