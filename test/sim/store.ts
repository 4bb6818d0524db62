/**
 * The production's device store over simulated bytes: its rules of records, its compare-and-set, Keyv's reading, and its claims:
 * those of one host by the log on the simulated disk, those of several by the rule that Redis runs. It stands in the place of
 * `device/open`.
 */

import type { Clock } from '../../plugins/xaps/base/clock.ts'
import type * as Deadline from '../../plugins/xaps/base/deadline.ts'
import type * as ClaimRules from '../../plugins/xaps/device/claim.ts'
import type * as Codec from '../../plugins/xaps/device/codec.ts'
import type * as Cas from '../../plugins/xaps/device/compare-and-set.ts'
import type * as Keyed from '../../plugins/xaps/device/keyed-store.ts'
import type * as LmdbClaims from '../../plugins/xaps/device/lmdb/claims.ts'
import type { StoreOptions } from '../../plugins/xaps/device/open.ts'
import type { Claim, ClaimRequest } from '../../plugins/xaps/device/store.ts'
import type { Caller, Database } from './database.ts'
import type { Realm } from './realm.ts'

/** How long an operation may take, in milliseconds: a read or a claim in Redis, a change in LMDB. */
const DEADLINE_MS = { redis: 400, lmdb: 10_000 } as const

/** Claims of several hosts, kept by a server. */
export interface ClaimServer {
  readonly lasts: Map<string, number>
  /** The server's clock, in ms since the epoch. */
  now(): number
}

export interface StorePlace {
  readonly database: Database
  readonly caller: Caller
  /** Where claims are kept by a server. */
  readonly claims: ClaimServer | undefined
  /** The server did not answer to this claim. */
  readonly claimFailed: (push: string) => void
  /** Called with the function that tells that the store answers again. */
  readonly onReady: (listener: () => void) => void
}

/** The module `device/open` of a process whose stores are where `placeOf` says, by their URI. */
export function openModule(realm: Realm, placeOf: (uri: string) => StorePlace) {
  const deviceStore = (options: StoreOptions, clock: Clock = systemClockOf(realm)) =>
    makeStore(realm, options, clock, placeOf(options.uri))
  return { deviceStore }
}

function systemClockOf(realm: Realm): Clock {
  return realm.load<{ systemClock: Clock }>('base/clock').systemClock
}

/** The classes and rules of the process's own realm. */
function partsOf(realm: Realm) {
  return {
    ...realm.load<typeof Keyed>('device/keyed-store'),
    ...realm.load<typeof Codec>('device/codec'),
    ...realm.load<typeof Cas>('device/compare-and-set'),
    ...realm.load<typeof LmdbClaims>('device/lmdb/claims'),
    ...realm.load<typeof ClaimRules>('device/claim'),
    ...realm.load<typeof Deadline>('base/deadline'),
  }
}

function makeStore(realm: Realm, options: StoreOptions, clock: Clock, place: StorePlace): Keyed.KeyedStore {
  const parts = partsOf(realm)
  const { KeyedStore, compareAndSetOver, storedIn, encodeRecord, keyvOver, within, decideClaim } = parts
  const { database, caller, claims } = place
  const { namespace } = options
  const deadline = claims ? DEADLINE_MS.redis : DEADLINE_MS.lmdb
  const call = <T>(effect: () => T) => within(database.call(caller, effect), deadline, 'the store', clock)
  const hostClaims = new parts.HostClaims('/haraka/xaps', clock, options.log)
  const unused = () => Promise.reject(new Error('a device store is changed by compare-and-set only'))
  const get = (key: string) => call(() => database.get(key)?.text)
  const adapter = { get, set: unused, delete: unused, clear: unused }
  const keyv = keyvOver(adapter as never, namespace)
  const compareAndSet = compareAndSetOver<Codec.Stored, number>({
    async load(key) {
      const row = await database.call(caller, () => database.get(key))
      return { value: storedIn(row?.text), version: row?.version ?? 0 }
    },
    replace: (key, version, stored) => database.replace(caller, key, version, encodeRecord(stored)),
  })

  class SimulatedStore extends KeyedStore {
    claim(push: string, request: ClaimRequest): Promise<Claim> {
      if (!claims) return hostClaims.claim(push, request)
      // As the script in device/redis/store.ts: what comes late claims nothing. A connection that is lost sooner has lost it.
      const until = claims.now() + deadline
      let isGivenUp = false
      const asked = call(() => {
        if (isGivenUp || claims.now() > until) throw new Error('the claim came too late')
        const claim = decideClaim(claims.lasts.get(push), claims.now(), request)
        if (claim.kind === 'granted') claims.lasts.set(push, claim.id)
        return claim
      })
      return asked.catch(error => {
        isGivenUp = true
        place.claimFailed(push)
        throw error
      })
    }

    async lastClaim(push: string): Promise<number | undefined> {
      if (!claims) return hostClaims.sinceLast(push)
      const last = claims.lasts.get(push)
      return last === undefined ? undefined : claims.now() - last
    }

    async warnings(): Promise<readonly string[]> {
      await call(() => undefined)
      return []
    }

    onReady(listener: () => void): void {
      place.onReady(listener)
    }

    async close(): Promise<void> {
      hostClaims.close()
    }

    read(key: string) {
      return keyv.get(key)
    }

    change(key: string, change: Cas.Change<Codec.Stored>): Promise<void> {
      return within(compareAndSet(key, change, clock.now() + deadline), deadline, 'the store', clock)
    }

    async *batches(): AsyncGenerator<Keyed.Batch> {
      const keys = await call(() => database.keys())
      yield keys.map(key => [key, database.get(key)?.text] as const)
    }
  }
  return new SimulatedStore({ ...options, clock })
}
