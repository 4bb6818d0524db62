/**
 * Claims of pushes shared by the processes of one host. They have an LMDB environment of their own, next to the
 * devices': a claim need not survive anything, and waiting for the disk is most of what it would cost (one at a time
 * 0.73 ms and 418 µs of CPU with sync, 0.05 ms and 74 µs without).
 *
 * An environment that is not synced is sound after the death of any process but not after the system's. Its file is
 * therefore named after the boot of the system, and those of earlier boots are deleted.
 *
 * Whatever goes wrong here, pushes go on, coalesced per process instead of per host.
 */

import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { type Log, reasonOf } from '../log.ts'
import { type Claims, claimsInMemory, decideClaim } from './claim.ts'
import { within } from './deadline.ts'
import { inGroups } from './groups.ts'
import { type LmdbAdapter, lmdbAdapter } from './lmdb-adapter.ts'
import { createStore, type LmdbFiles } from './lmdb-directory.ts'
import {
  cellAt,
  cellsIn,
  closeEnvironment,
  DamagedFile,
  openEnvironment,
  seeLatest,
  type TextDatabase,
} from './lmdb-environment.ts'
import type { Claim, ClaimRequest } from './store.ts'
import { swapper } from './swap.ts'

/** How long a claim may wait for other processes, in milliseconds. */
const CLAIM_MS = 1_000

/** A transaction costs 60 µs of CPU for one claim and 5 µs a claim for fifty: those of a few milliseconds share one. */
const GROUP_EVERY_MS = 3
const GROUP_MOST = 10_000

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id'

export interface ClaimsOptions {
  readonly directory: string
  readonly namespace: string
  readonly clock: Clock
  readonly log: Log
}

/** Opens the claims in a store's directory. Never rejects: the worst are claims in memory. */
export async function openClaims({ directory, namespace, clock, log }: ClaimsOptions): Promise<Claims> {
  const memory = claimsInMemory(() => clock.now())
  let announced = false
  const fallBack = (error: unknown) => {
    const level = announced ? 'debug' : 'warn'
    announced = true
    log[level]('pushes are coalesced per process only', { directory, reason: reasonOf(error) })
    return memory
  }
  try {
    return sharedClaims(lmdbAdapter(await openFile(directory), namespace), clock, fallBack)
  } catch (error) {
    return fallBack(error)
  }
}

/** A claim that somebody waits for. */
interface Asked {
  readonly key: string
  readonly request: ClaimRequest
  /** Time is over after this, in milliseconds since the epoch. */
  readonly until: number
  resolve(claim: Claim | Promise<Claim>): void
}

function sharedClaims(adapter: LmdbAdapter, clock: Clock, fallBack: (error: unknown) => Claims): Claims {
  const tryToClaim = claimer(adapter, clock)
  const giveUp = ({ key, request, resolve }: Asked, error: unknown) =>
    resolve(fallBack(error).claim(key, request))

  async function decide(group: readonly Asked[]): Promise<void> {
    seeLatest(adapter.db)
    const claims = await within(CLAIM_MS, Promise.all(group.map(tryToClaim)))
    group.forEach((asked, index) => {
      const claim = claims[index]
      if (claim) asked.resolve(claim)
      else if (Date.now() < asked.until) ask(asked)
      else giveUp(asked, new Error('it is being claimed all the while'))
    })
  }

  const ask = inGroups<Asked>(GROUP_EVERY_MS, group => {
    decide(group).catch((error: unknown) => {
      for (const asked of group) giveUp(asked, error)
    })
  })

  return {
    claim: (key, request) =>
      new Promise(resolve => ask({ key, request, until: Date.now() + CLAIM_MS, resolve })),
    sweep: before => sweepOut(adapter, before),
    close: () => closeEnvironment(adapter.db),
  }
}

/** Returns a function that resolves with undefined when somebody else claims at the same moment. */
function claimer({ db, fullKey }: LmdbAdapter, clock: Clock) {
  const { replace } = cellsIn(db, fullKey)
  return async ({ key, request }: Asked): Promise<Claim | undefined> => {
    const { text, version } = cellAt(db, fullKey(key))
    const claim = decideClaim(timeIn(text), clock.now(), request)
    if (claim.kind !== 'granted' || (await replace(key, version, String(claim.id)))) return claim
    return undefined
  }
}

async function sweepOut({ db, fullKey, batches }: LmdbAdapter, before: number): Promise<void> {
  const swap = swapper(cellsIn(db, fullKey))
  const isOld = (text: string | undefined) => (timeIn(text) ?? 0) < before
  const drop = (key: string) =>
    within(
      CLAIM_MS,
      swap(key, text => (isOld(text) ? undefined : text), Date.now() + CLAIM_MS),
    )
  for await (const batch of batches('')) {
    await Promise.all(batch.filter(([, text]) => isOld(text)).map(([key]) => drop(key)))
    await setImmediate()
  }
  db.readerCheck()
}

function timeIn(text: string | undefined): number | undefined {
  const time = Number(text)
  return Number.isFinite(time) ? time : undefined
}

async function openFile(directory: string): Promise<TextDatabase> {
  const boot = bootId()
  const data = path.join(directory, `claims-${boot ?? 'any-boot'}.mdb`)
  const files = { data, lock: `${data}-lock` }
  removeFiles(directory, name => name.startsWith('claims-') && !name.startsWith(path.basename(data)))
  try {
    return await createAndOpen(directory, files, boot !== undefined)
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error
    removeFiles(directory, name => name.startsWith('claims-'))
    return createAndOpen(directory, files, boot !== undefined)
  }
}

async function createAndOpen(directory: string, files: LmdbFiles, noSync: boolean): Promise<TextDatabase> {
  createStore(directory, files)
  return openEnvironment(files, { noSync, txnStartThreshold: GROUP_MOST })
}

function removeFiles(directory: string, matches: (name: string) => boolean): void {
  for (const name of readdirSync(directory).filter(matches))
    rmSync(path.join(directory, name), { force: true })
}

/** Names the time since the system started; undefined where the system does not say (it is Linux that does). */
function bootId(): string | undefined {
  return existsSync(BOOT_ID_FILE) ? readFileSync(BOOT_ID_FILE, 'utf8').trim() : undefined
}
