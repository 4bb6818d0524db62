/** The device store's three operations on both stores, beside the library that each is built on. */

import { owned, type Scope } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { tempDirectory } from '../support/temp.ts'
import { type Bench, type Row, row, type Scale, takeTurns } from './measure.ts'
import { profiling, startPart } from './part.ts'
import type { Operation, Store } from './parts/store.ts'

const CONNECTIONS = 50
/** [apns] max_in_flight. One at a time they would tell how long a group of claims waits for the next. */
const CLAIMS = 500

export const store: Bench = async (scale, scope) => {
  const { path: dir } = owned(scope, tempDirectory('xaps-bench-'))
  const rows = await measure('LMDB', `lmdb:${dir}/xaps`, dir, scale, scope)
  const absent = missingRedis()
  if (absent) {
    process.stderr.write(`store: Redis ${absent}\n`)
    return rows
  }
  const { uri } = owned(scope, await startRedis())
  return [...rows, ...(await measure('Redis', uri, dir, scale, scope))]
}

async function measure(
  name: 'LMDB' | 'Redis',
  uri: string,
  dir: string,
  scale: Scale,
  scope: Scope,
): Promise<Row[]> {
  const start = async (bare: boolean) => {
    const part = startPart<Store>(scope, 'store', bare ? [] : profiling(scale.profileDir))
    await part.ask('open', { uri, dir, bare })
    return part
  }
  const [ours, bare] = [await start(false), await start(true)]
  const run = (operation: Operation, count: number, atOnce: number) => {
    // Claims of other devices in each round: one that was just granted is not granted again.
    const from = (round: number) => (operation === 'claim' ? round * count : 0)
    return takeTurns(scale.of(5, 3), {
      ours: round => ours.ask('run', { operation, count, atOnce, from: from(round) }),
      bare: round => bare.ask('run', { operation, count, atOnce, from: from(round) }),
    })
  }
  // First what fills the store, then what reads it.
  const users = scale.of(10_000, 4_000)
  const updates = await run('update', users, CONNECTIONS)
  const devices = await run('devices', users, 1)
  const claims = await run('claim', scale.of(10_000, 2_000), CLAIMS)
  const [put, claim] = name === 'LMDB' ? ['put', 'put, not synced'] : ['SET', 'SET NX PX']
  const perSecond = (times: number[]) => times.map(us => 1e6 / us)
  return [
    row(`${name} devices()`, 'µs', devices.ours, ['get and JSON.parse', devices.bare]),
    row(`${name} claim(), ${CLAIMS} at once`, 'µs', claims.ours, [claim, claims.bare]),
    row(`${name} update(), on disk, ${CONNECTIONS} at once`, '/s', perSecond(updates.ours), [
      put,
      perSecond(updates.bare),
    ]),
  ]
}
