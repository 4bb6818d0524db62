/** What a device store costs by the number of its users: a thousand to a million. Takes some minutes. */

import { type Scope, scoped } from '../support/owned.ts'
import { type Filled, lookupsInHaraka } from './lookup.ts'
import { type Bench, type Row, row, type Scale, type Target, takeTurns } from './measure.ts'
import { type Part, profiling, startPart } from './part.ts'
import type { Operation, ScaleApi } from './parts/scale.ts'
import { PLACES, type Place } from './places.ts'
import { fillStore } from './site.ts'

const SIZES = [1_000, 100_000, 1_000_000]
const QUICK_SIZES = [1_000, 50_000]

/** As many at once as there are connections or pushes of one process. */
const AT_ONCE: Readonly<Record<Operation, number>> = { lookup: 1, get: 1, registration: 50, claim: 500 }

/** Of what the least number of users costs. */
const LOOKUP_TARGET: Target = { of: 'ratio', most: 1.3 }

const MB = 2 ** 20

interface Measured extends Filled, Place {
  readonly part: Part<ScaleApi>
  readonly startMs: number
}

/** Samples by the number of users. */
type Samples = Readonly<Record<string, number[]>>

export const scale: Bench = async scale => {
  const rows: Row[] = []
  for (const kind of Object.keys(PLACES)) rows.push(...(await scoped(scope => measure(kind, scale, scope))))
  return rows
}

async function measure(kind: string, scale: Scale, scope: Scope): Promise<Row[]> {
  const stores: Measured[] = []
  for (const users of scale.quick ? QUICK_SIZES : SIZES) stores.push(await fill(kind, users, scale, scope))
  const inTurns = (rounds: number, work: (store: Measured) => Promise<number>) =>
    takeTurns(rounds, Object.fromEntries(stores.map(store => [String(store.users), () => work(store)])))
  const rounds = scale.of(5, 2)
  const run = (operation: Operation, rounds: number) => {
    const job = { operation, count: scale.of(10_000, 2_000), atOnce: AT_ONCE[operation] }
    return inTurns(rounds, ({ part, users }) => part.ask('run', { ...job, users }))
  }
  // LMDB is done within milliseconds, which a busy machine spoils easily.
  const lookupRounds = kind === 'LMDB' ? scale.of(21, 5) : rounds
  const rows: Row[] = []
  const add = (what: string, unit: string, samples: Samples, target?: Target) =>
    rows.push(...rowsOf(`${kind} ${what}`, unit, samples, target))

  add('start', 'ms', Object.fromEntries(stores.map(({ users, startMs }) => [users, [startMs]])))
  add('lookup', 'µs', await run('lookup', lookupRounds), LOOKUP_TARGET)
  if (kind === 'LMDB') {
    add('alone, get and JSON.parse', 'µs', await run('get', lookupRounds))
    // In a process of its own, whose memory is not looked at.
    const reader = startPart<ScaleApi>(scope, 'scale')
    const reading = async ({ size }: Measured) => reader.ask('read', await size())
    add('size of memory, a reading at random', 'ns', await inTurns(rounds, reading))
    for (const seen of [false, true]) {
      const samples = await scoped(own => lookupsInHaraka(stores, seen, scale, own))
      const pages = seen ? 'all pages seen before' : 'started just now'
      add(`lookup in a Haraka that delivers, ${pages}`, 'µs', samples, seen ? LOOKUP_TARGET : undefined)
    }
  }
  add('registration, 50 at once', 'µs', await run('registration', rounds))
  add('claim, 500 at once', 'µs', await run('claim', rounds))
  add('listing', 'ms', await inTurns(1, ({ part }) => part.ask('list')))
  add('sweep', 'ms', await inTurns(1, ({ part }) => part.ask('sweep')))
  const ownMemory = async ({ part }: Measured) => (await part.ask('memory')) / MB
  add("memory of the process's own", 'MB', await inTurns(1, ownMemory))
  add('size', 'MB', await inTurns(1, async ({ size }) => (await size()) / MB))
  return rows
}

async function fill(kind: string, users: number, scale: Scale, scope: Scope): Promise<Measured> {
  const place = await PLACES[kind]?.(scope)
  if (!place) throw new RangeError(`no store is of the kind ${kind}`)
  await fillStore(place.uri, users)
  const part = startPart<ScaleApi>(scope, 'scale', profiling(scale.profileDir))
  return { ...place, users, part, startMs: await part.ask('open', place.uri) }
}

/** Each size beside the smallest. */
function rowsOf(what: string, unit: string, samples: Samples, target?: Target): Row[] {
  const [[least, baseline] = ['', []]] = Object.entries(samples)
  return Object.entries(samples).map(([users, values]) =>
    row(`${what}, ${count(users)} users`, unit, values, [`with ${count(least)}`, baseline], target),
  )
}

function count(users: string): string {
  return Number(users).toLocaleString('en')
}
