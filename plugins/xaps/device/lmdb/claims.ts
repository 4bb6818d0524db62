/**
 * Claims of pushes shared by the processes of one host, over a log: each process appends its requests, and all
 * apply the rule to the lines in their order, so that all come to the same decisions. A claim costs no lock and
 * waits for no other process. A process that has missed lines (it started after them, or could not read for a while)
 * may push once too often; so none appends a request that it knows to be no grant, which others could take for one.
 *
 * Pushes go on when anything goes wrong here, coalesced per process instead of per host, as push/claiming.ts does by itself.
 */

import { randomUUID } from 'node:crypto'
import { inBatches } from '../../base/batch.ts'
import type { Clock } from '../../base/clock.ts'
import { type Log, reasonOf } from '../../base/log.ts'
import { TransitionLog } from '../../base/transition-log.ts'
import { LastClaims } from '../claim.ts'
import { isText, listOf, shaped } from '../codec.ts'
import type { Claim, ClaimRequest } from '../store.ts'
import { SharedLog } from './shared-log.ts'

/**
 * Times of lines may differ from their order by the time that a process takes from looking at the clock to appending.
 * More than that is a clock set back, or a process that was stopped just there, which may cost a push too many.
 */
const MOST_DISORDER_MS = 100

/**
 * On a busy host claims, and with them pushes, go out some at a time: that saves system calls on both ways. A client that asks
 * for one after the other does not wait for that.
 */
const PACE = { everyMs: 3, many: 32 } as const

/** The claims that one process asked for at one time. */
interface Line {
  /** No other line is like this one. */
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly asked: ReadonlyArray<ClaimRequest & { readonly key: string }>
}

const isLine = shaped({
  at: Number.isFinite,
  asked: listOf(shaped({ key: isText, ageMs: Number.isFinite, windowMs: Number.isFinite })),
})

/** A claim that is waited for. */
interface Asked {
  readonly key: string
  readonly request: ClaimRequest
  resolve(claim: Claim): void
}

export class HostClaims {
  readonly #shared: SharedLog
  readonly #clock: Clock
  readonly #log: Log
  readonly #lasts = new LastClaims()
  /** The time of the last line. */
  #latest = 0
  readonly #transitions: TransitionLog
  #closed = false
  readonly #ask = inBatches<Asked>(PACE, batch => this.#decide(batch))

  /** Does not touch `directory` before the first claim. */
  constructor(directory: string, clock: Clock, log: Log) {
    this.#shared = new SharedLog(directory, 'claims', error => {
      log.warn('old claims in the device store cannot be deleted', { directory, reason: reasonOf(error) })
    })
    this.#clock = clock
    this.#log = log
    this.#transitions = new TransitionLog('shared', clock)
  }

  /** Claims the push whose key this is. Never rejects. */
  claim(key: string, request: ClaimRequest): Promise<Claim> {
    const known = this.#lasts.ask(key, this.#clock.now(), request)
    if (known.kind !== 'granted') return Promise.resolve(known)
    return new Promise(resolve => this.#ask({ key, request, resolve }))
  }

  /** Milliseconds since the last claim of this push by any process; undefined where none is remembered. Never throws. */
  sinceLast(key: string): number | undefined {
    const now = this.#clock.now()
    try {
      if (!this.#closed) for (const text of this.#shared.read(now)) this.#applyText(text)
    } catch {
      // Then this process's own are known, and what it has read before.
    }
    const ms = now - (this.#lasts.last(key) ?? Number.POSITIVE_INFINITY)
    return ms < 0 ? undefined : ms
  }

  close(): void {
    this.#closed = true
    this.#transitions.close()
    this.#shared.close()
  }

  #decide(asked: readonly Asked[]): void {
    const line = {
      id: randomUUID(),
      at: this.#clock.now(),
      asked: asked.map(({ key, request }) => ({ key, ...request })),
    }
    const claims = (this.#closed ? undefined : this.#share(line)) ?? this.#decideAlone(line)
    for (const [index, claim] of claims.entries()) asked[index]?.resolve(claim)
  }

  /**
   * Remembers nothing: what the others do not know would have this process count their claims otherwise than they do. A claim
   * that is held, which they may know, is held on.
   */
  #decideAlone({ at, asked }: Line): Claim[] {
    return asked.map(request => {
      const claim = this.#lasts.ask(request.key, at, request)
      return claim.kind === 'granted' ? { ...claim, id: request.held ?? claim.id } : claim
    })
  }

  /** Appends `line` and applies all that is new in the log; undefined when that is impossible. */
  #share(line: Line): Claim[] | undefined {
    try {
      const own = JSON.stringify(line)
      let mine: Claim[] | undefined
      for (const text of this.#shared.append(own, line.at)) {
        if (text === own) mine = this.#apply(line)
        else this.#applyText(text)
      }
      if (!mine) throw new Error('what was appended cannot be read')
      this.#transitions.to('shared', counted =>
        this.#log.notice('pushes are coalesced per host again', counted),
      )
      return mine
    } catch (error) {
      const reason = reasonOf(error)
      this.#transitions.to('alone', counted =>
        this.#log.warn('pushes are coalesced per process only', { reason, ...counted }),
      )
      return undefined
    }
  }

  /** What another process has asked for. */
  #applyText(text: string): void {
    const line = lineIn(text)
    if (line) this.#apply(line)
  }

  #apply({ at, asked }: Line): Claim[] {
    const isLate = at < this.#latest && at > this.#latest - MOST_DISORDER_MS
    if (!isLate) this.#latest = at
    return asked.map(request => this.#lasts.claim(request.key, this.#latest, request))
  }
}

/** The line in a text; undefined where a full disk or a failure of power has left something else. */
function lineIn(text: string): Line | undefined {
  try {
    const line = JSON.parse(text)
    return isLine(line) ? line : undefined
  } catch {
    return undefined
  }
}
