/**
 * The bytes of a simulated device store, which any number of processes reach: slow, refusing, silent, full, or struck by a
 * failure of power. It promises what LMDB does, and Redis that syncs always: a change is compared and made at once, nobody sees
 * it before it is synced, and it is acknowledged after that, perhaps never. Knows no record.
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
  readonly #isRemote: boolean
  /** Told of every change. */
  readonly #changed: (key: string, text: string | undefined) => void
  readonly #rows = new Map<string, Row>()
  #trouble: Trouble | undefined
  #held: (() => void)[] = []
  #versions = 0
  /** Grows when it loses what is under way. */
  #epoch = 0
  /** Nothing can be written. */
  full = false

  constructor(
    scheduler: Scheduler,
    isRemote: boolean,
    changed: (key: string, text: string | undefined) => void,
  ) {
    this.#isRemote = isRemote
    this.#scheduler = scheduler
    this.#changed = changed
  }

  get trouble(): Trouble | undefined {
    return this.#trouble
  }

  set trouble(trouble: Trouble | undefined) {
    this.#trouble = trouble
    if (trouble !== 'silent') for (const go of this.#held.splice(0)) go()
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
    const epoch = this.#epoch
    return new Promise((resolve, reject) => {
      const fail = (why: string) => caller.after(wait(), () => reject(new Error(why)))
      const arrive = () => {
        if (this.#trouble === 'silent') return void this.#held.push(this.#lose(arrive, fail))
        if (this.#trouble === 'refuses' || epoch !== this.#epoch) return fail('the simulated store refuses')
        try {
          const result = effect()
          caller.after(wait(), () => resolve(result))
        } catch (error) {
          fail((error as Error).message)
        }
      }
      this.#scheduler.after(wait(), arrive)
    })
  }

  /** Of calls to a server some are lost with their connection. */
  #lose(arrive: () => void, fail: (why: string) => void): () => void {
    if (!this.#isRemote || this.#scheduler.random.below(2) === 0) return arrive
    fail('the connection to the simulated store is lost')
    // It may have arrived nevertheless.
    return this.#scheduler.random.below(2) === 0 ? arrive : () => undefined
  }

  /** Writes where the version is still the same; resolves with whether it was. What is there is synced. */
  async replace(caller: Caller, key: string, version: number, text: string | undefined): Promise<boolean> {
    const changed = await this.call(caller, () => {
      if (this.full) return undefined
      if ((this.#rows.get(key)?.version ?? 0) !== version) return false
      if (text === undefined) this.#rows.delete(key)
      else this.#rows.set(key, { text, version: ++this.#versions })
      this.#changed(key, text)
      return true
    })
    if (changed === undefined) throw new Error('no space left on device')
    return changed
  }

  /** A failure of power: what is under way and not synced is gone. */
  losePower(): void {
    this.#epoch += 1
  }
}
