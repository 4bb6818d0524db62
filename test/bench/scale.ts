/** What a device store costs by the number of its users: a thousand to a million. Takes some minutes. */

import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { owned, type Scope } from '../support/owned.ts'
import { startRedis } from '../support/redis.ts'
import { tempDirectory } from '../support/temp.ts'
import { type Bench, type Row, row, type Scale, takeTurns } from './measure.ts'
import { type Part, profiling, startPart } from './part.ts'
import type { Operation, ScaleApi } from './parts/scale.ts'
import { fillStore } from './site.ts'

const SIZES = [1_000, 10_000, 100_000, 1_000_000]
const QUICK_SIZES = [1_000, 50_000]

/** As many at once as there are connections or pushes of one process. */
const AT_ONCE: Readonly<Record<Operation, number>> = { lookup: 1, registration: 50, claim: 500 }

const MB = 2 ** 20

/** A place for a store of each size: they are measured in turns. Resolves with a URI. */
type MakePlace = (users: number) => Promise<string>

export const scale: Bench = async (scale, scope) => {
  const { path: dir } = owned(scope, tempDirectory('xaps-bench-'))
  const lmdb: MakePlace = async users => {
    mkdirSync(path.join(dir, String(users)))
    return `lmdb:${dir}/${users}/xaps`
  }
  const redis: MakePlace = async () => owned(scope, await startRedis()).uri
  return [...(await measure('LMDB', lmdb, scale, scope)), ...(await measure('Redis', redis, scale, scope))]
}

interface Measured {
  readonly users: number
  readonly part: Part<ScaleApi>
  readonly startMs: number
}

async function measure(name: string, makePlace: MakePlace, scale: Scale, scope: Scope): Promise<Row[]> {
  const stores: Measured[] = []
  for (const users of scale.quick ? QUICK_SIZES : SIZES) {
    const uri = await makePlace(users)
    await fillStore(uri, users)
    const part = startPart<ScaleApi>(scope, 'scale', profiling(scale.profileDir))
    stores.push({ users, part, startMs: await part.ask('open', uri) })
  }
  const inTurns = async (
    what: string,
    unit: string,
    work: (store: Measured) => Promise<number>,
    most?: number,
  ) => rowsOf(`${name} ${what}`, unit, await takeTurns(scale.of(5, 2), contestants(stores, work)), most)
  const operation = (operation: Operation) => (store: Measured) =>
    store.part.ask('run', {
      operation,
      users: store.users,
      count: scale.of(10_000, 2_000),
      atOnce: AT_ONCE[operation],
    })
  const start = Object.fromEntries(stores.map(({ users, startMs }) => [users, [startMs]]))
  const lookups = await inTurns('lookup', 'µs', operation('lookup'), 1.3)
  const registrations = await inTurns('registration, 50 at once', 'µs', operation('registration'))
  const claims = await inTurns('claim, 500 at once', 'µs', operation('claim'))
  const listings = await inTurns('listing', 'ms', ({ part }) => part.ask('list'))
  const sweeps = await inTurns('sweep', 'ms', ({ part }) => part.ask('sweep'))
  const memory = await inTurns(
    "memory of the process's own",
    'MB',
    async ({ part }) => (await part.ask('memory')) / MB,
  )
  return [
    ...rowsOf(`${name} start`, 'ms', start),
    ...lookups,
    ...registrations,
    ...claims,
    ...listings,
    ...sweeps,
    ...memory,
  ]
}

function contestants(stores: readonly Measured[], work: (store: Measured) => Promise<number>) {
  return Object.fromEntries(stores.map(store => [String(store.users), () => work(store)]))
}

/** Each size beside the smallest. */
function rowsOf(
  what: string,
  unit: string,
  samples: Readonly<Record<string, number[]>>,
  most?: number,
): Row[] {
  const [[least, baseline] = ['', []]] = Object.entries(samples)
  return Object.entries(samples).map(([users, values]) =>
    row(
      `${what}, ${count(users)} users`,
      unit,
      values,
      [`with ${count(least)}`, baseline],
      most === undefined ? undefined : { of: 'ratio', most },
    ),
  )
}

function count(users: string): string {
  return Number(users).toLocaleString('en')
}
