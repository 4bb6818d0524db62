/** Hosts, their disks and clocks, and the bytes of store and spool, with their faults. Knows no process from inside. */

import { type Caller, Database } from './database.ts'
import { Disk } from './disk.ts'
import type { Oracle } from './oracle.ts'
import type { Plan } from './plan.ts'
import { BEGINNING, type Host, type SimulatedProcess } from './process.ts'
import { numberOf } from './promises.ts'
import { MS, type Scheduler } from './scheduler.ts'
import type { StorePlace } from './store.ts'

/** Of device/lmdb/shared-log.ts; no run is longer. */
const LOG_PERIOD_MS = 10 * 60_000

export class Site {
  readonly hosts: readonly [Host, Host]
  readonly #kind: Plan['store']
  readonly #scheduler: Scheduler
  readonly #oracle: Oracle
  /** The files of the log of claims are named by the time: processes may have different ones open, until theirs is over. */
  #areSplit = false
  readonly #store: Database
  readonly #spool: Database
  /** Those that a server keeps. */
  readonly #claims = new Map<string, number>()
  /** Listeners to a store that answers again. */
  #ready: { readonly process: SimulatedProcess; readonly listener: () => void }[] = []

  /** `changed` is told of every change in the store. */
  constructor(
    kind: Plan['store'],
    scheduler: Scheduler,
    oracle: Oracle,
    changed: (key: string, text: string | undefined) => void,
  ) {
    this.#kind = kind
    this.#scheduler = scheduler
    this.#oracle = oracle
    const one = { name: 'one', disk: new Disk(), aheadMs: 0 }
    this.hosts = [one, { name: 'two', disk: new Disk(), aheadMs: 0 }]
    this.#store = new Database(scheduler, kind === 'redis', changed)
    this.#spool = new Database(scheduler, false, () => one.disk.touch('/haraka/xaps-spool/data.mdb'))
  }

  /** With LMDB there is one host. */
  hostOf(number: number): Host {
    return this.#kind === 'lmdb' || number === 0 ? this.hosts[0] : this.hosts[1]
  }

  get isSpoolEmpty(): boolean {
    return this.#spool.keys().length === 0
  }

  /** Where a process's store is. */
  placeOf(process: SimulatedProcess, caller: Caller, uri: string): StorePlace {
    const isSpool = uri.endsWith('xaps-spool')
    const now = () => BEGINNING + Math.floor(this.#scheduler.now / MS)
    return {
      database: isSpool ? this.#spool : this.#store,
      caller,
      claims: this.#kind === 'redis' && !isSpool ? { lasts: this.#claims, now } : undefined,
      claimFailed: push => this.#oracle.unsure(process.name, numberOf(push.split('/')[1] ?? '')),
      onReady: listener => {
        if (!isSpool) this.#ready.push({ process, listener })
      },
    }
  }

  /** Its processes that are dead listen no more. */
  forgetDead(): void {
    this.#ready = this.#ready.filter(({ process }) => process.alive)
  }

  setStore(trouble: Database['trouble']): void {
    const was = this.#store.trouble
    this.#store.trouble = trouble
    this.#tellClaims()
    if (trouble !== undefined || was === undefined) return
    for (const { process, listener } of this.#ready)
      process.after(this.#scheduler.between(0, 500 * MS), listener)
  }

  /** A server ends and starts again: what is under way is lost, and claims are. */
  forgetClaims(): void {
    if (this.#kind === 'lmdb') return
    this.#store.losePower()
    this.#claims.clear()
    this.#tellClaims()
  }

  losePower(host: Host): void {
    host.disk.losePower()
    if (this.#kind === 'lmdb') this.#store.losePower()
    if (host === this.hosts[0]) this.#spool.losePower()
    this.#tellClaims()
  }

  /** So much still fits on the disk; undefined: all. */
  setRoom(host: Host, room: number | undefined): void {
    host.disk.room = room
    const places = this.#kind === 'lmdb' ? [this.#store, this.#spool] : [this.#spool]
    if (host === this.hosts[0]) for (const place of places) place.full = room !== undefined
    this.#tellClaims()
  }

  setClock(host: Host, ms: number): void {
    host.aheadMs += ms
    this.#areSplit ||= Math.abs(ms) >= LOG_PERIOD_MS
    this.#tellClaims()
    this.#oracle.clockSet()
    // Events that wait now, or come until the clock has caught up: times of before and after are compared. Not mended.
    const us = -Math.min(0, ms) * MS
    this.#oracle.misread(us, 'away')
    if (this.#kind === 'redis' ? ms > 0 : ms < 0) this.#oracle.misread(us, 'all')
  }

  /** Whether claims work: from now on, or not. */
  #tellClaims(): void {
    const isFull = this.#areSplit || this.hosts.some(({ disk }) => disk.room !== undefined)
    const isBroken = this.#kind === 'redis' ? this.#store.trouble !== undefined : isFull
    this.#oracle.claimsWork(!isBroken)
  }
}
