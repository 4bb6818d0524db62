/** The device store's three operations on both stores, beside the library that each is built on. */

import { missingRedis, startRedis } from '../support/redis.ts'
import { tempDirectory } from '../support/temp.ts'
import { type Bench, type Row, rowOf, type Scale } from './bench.ts'
import { type Part, startPart } from './part.ts'
import type { Operation, StoreApi } from './parts/store.ts'
import { takeTurns } from './rounds.ts'
import { type Cleanup, cleanly } from './site.ts'

const CONNECTIONS = 50
/** [apns] max_in_flight. One at a time they would tell how long a group of claims waits for the next. */
const CLAIMS = 500

export const store: Bench = scale =>
  cleanly(async cleanup => {
    const temp = tempDirectory('xaps-bench-')
    cleanup.add(temp.remove)
    const rows = await measure('LMDB', `lmdb:${temp.path}/xaps`, temp.path, scale, cleanup)
    const absent = missingRedis()
    if (absent) {
      process.stderr.write(`store: Redis ${absent}\n`)
      return rows
    }
    const redis = await startRedis()
    cleanup.add(() => redis.stop())
    return [...rows, ...(await measure('Redis', redis.uri, temp.path, scale, cleanup))]
  })

async function measure(
  name: string,
  uri: string,
  dir: string,
  scale: Scale,
  cleanup: Cleanup,
): Promise<Row[]> {
  const start = async (bare: boolean) => {
    const part = startPart<StoreApi>('store', bare ? undefined : scale.profileDir)
    cleanup.add(() => part.stop())
    await part.ask('open', { uri, dir, bare })
    return part
  }
  const parts = { ours: await start(false), bare: await start(true) }
  const run = (operation: Operation, count: number, atOnce: number) =>
    samplesOf(parts, { operation, count, atOnce }, scale)

  // First what fills the store, then what reads it.
  const users = scale.of(10_000, 4_000)
  const updates = await run('update', users, CONNECTIONS)
  const devices = await run('devices', users, 1)
  const claims = await run('claim', scale.of(10_000, 2_000), CLAIMS)
  const row = (what: string, { ours, bare }: Record<'ours' | 'bare', number[]>, library: string) =>
    rowOf({ what: `${name} ${what}`, unit: 'µs', ours, baseline: { what: library, values: bare } })
  return [
    row('devices()', devices, 'get and JSON.parse'),
    row(`claim(), ${CLAIMS} at once`, claims, name === 'LMDB' ? 'put, not synced' : 'SET NX PX'),
    rowOf({
      what: `${name} update(), on disk, ${CONNECTIONS} at once`,
      unit: '/s',
      ours: updates.ours.map(us => 1e6 / us),
      baseline: { what: name === 'LMDB' ? 'put' : 'SET', values: updates.bare.map(us => 1e6 / us) },
    }),
  ]
}

function samplesOf(
  { ours, bare }: Record<'ours' | 'bare', Part<StoreApi>>,
  job: { operation: Operation; count: number; atOnce: number },
  scale: Scale,
): Promise<Record<'ours' | 'bare', number[]>> {
  // Claims of other devices in each round: one that was just granted is not granted again.
  const from = (round: number) => (job.operation === 'claim' ? round * job.count : 0)
  return takeTurns(scale.of(5, 3), {
    ours: round => ours.ask('run', { ...job, from: from(round) }),
    bare: round => bare.ask('run', { ...job, from: from(round) }),
  })
}
