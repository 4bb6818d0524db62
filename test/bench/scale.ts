/** What a device store costs by the number of its users: a thousand to a million. Takes some minutes. */

import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { startRedis } from '../support/redis.ts'
import { tempDirectory } from '../support/temp.ts'
import { type Bench, type Row, rowOf, type Scale } from './bench.ts'
import { type Part, startPart } from './part.ts'
import type { Operation, ScaleApi } from './parts/scale.ts'
import { memoryOf } from './process-use.ts'
import { takeTurns } from './rounds.ts'
import { type Cleanup, cleanly, fillStore } from './site.ts'

const SIZES = [1_000, 10_000, 100_000, 1_000_000]
const QUICK_SIZES = [1_000, 50_000]

/** As many at once as there are connections or pushes of one process. */
const AT_ONCE: Readonly<Record<Operation, number>> = { lookup: 1, registration: 50, claim: 500 }

const MB = 2 ** 20

/** A place for a store of each size: they are measured in turns. Resolves with a URI. */
type MakePlace = (users: number) => Promise<string>

export const scale: Bench = scale =>
  cleanly(async cleanup => {
    const temp = tempDirectory('xaps-bench-')
    cleanup.add(temp.remove)
    const lmdb: MakePlace = async users => {
      const directory = path.join(temp.path, String(users))
      mkdirSync(directory)
      return `lmdb:${directory}/xaps`
    }
    const redis: MakePlace = async () => {
      const server = await startRedis()
      cleanup.add(() => server.stop())
      return server.uri
    }
    return [
      ...(await measure('LMDB', lmdb, scale, cleanup)),
      ...(await measure('Redis', redis, scale, cleanup)),
    ]
  })

interface Measured {
  readonly users: number
  readonly part: Part<ScaleApi>
  readonly startMs: number
}

async function measure(name: string, makePlace: MakePlace, scale: Scale, cleanup: Cleanup): Promise<Row[]> {
  const stores: Measured[] = []
  for (const users of scale.quick ? QUICK_SIZES : SIZES) {
    const uri = await makePlace(users)
    await fillStore(uri, users)
    const part = startPart<ScaleApi>('scale', scale.profileDir)
    cleanup.add(() => part.stop())
    stores.push({ users, part, startMs: await part.ask('open', uri) })
  }
  const inTurns = async (
    what: string,
    unit: string,
    work: (store: Measured) => Promise<number>,
    most?: number,
  ) =>
    rowsOf(`${name} ${what}`, unit, stores, await takeTurns(scale.of(5, 2), contestants(stores, work)), most)
  const operation =
    (operation: Operation) =>
    ({ users, part }: Measured) =>
      part.ask('run', { operation, users, count: scale.of(10_000, 2_000), atOnce: AT_ONCE[operation] })
  return [
    ...stores.map(({ users, startMs }) =>
      rowOf({ what: `${name} start, ${count(users)} users`, unit: 'ms', ours: [startMs] }),
    ),
    ...(await inTurns('lookup', 'µs', operation('lookup'), 1.3)),
    ...(await inTurns('registration, 50 at once', 'µs', operation('registration'))),
    ...(await inTurns('claim, 500 at once', 'µs', operation('claim'))),
    ...(await inTurns('listing', 'ms', ({ part }) => part.ask('list', undefined))),
    ...(await inTurns('sweep', 'ms', ({ part }) => part.ask('sweep', undefined))),
    ...stores.map(({ users, part }) =>
      rowOf({
        what: `${name} memory of the process's own, ${count(users)} users`,
        unit: 'MB',
        ours: [memoryOf(part.pid).own / MB],
      }),
    ),
  ]
}

function contestants(stores: readonly Measured[], work: (store: Measured) => Promise<number>) {
  return Object.fromEntries(stores.map(store => [String(store.users), () => work(store)]))
}

/** Each size beside the smallest. */
function rowsOf(
  what: string,
  unit: string,
  stores: readonly Measured[],
  samples: Readonly<Record<string, number[]>>,
  most: number | undefined,
): Row[] {
  const least = String(stores[0]?.users)
  return stores.map(({ users }) =>
    rowOf({
      what: `${what}, ${count(users)} users`,
      unit,
      ours: samples[users] ?? [],
      baseline: { what: `with ${count(Number(least))}`, values: samples[least] ?? [] },
      ...(most === undefined ? {} : { target: { of: 'ratio', most } as const }),
    }),
  )
}

function count(users: number): string {
  return users.toLocaleString('en')
}
