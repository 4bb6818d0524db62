/** How fast registrations are taken and kept on disk, and notifications taken, beside Node answering and no more. */

import path from 'node:path'
import { serve } from '../e2e/run.ts'
import { owned } from '../support/owned.ts'
import { freePort } from '../support/server.ts'
import { type Bench, type Row, row, type Scale, type Target, takeTurns } from './measure.ts'
import { profiling, startPart } from './part.ts'
import type { Job, Load, LoadResult } from './parts/load.ts'
import type { Outside } from './parts/outside.ts'
import { makeSite } from './site.ts'

interface Plan extends Pick<Job, 'kind' | 'event' | 'connections' | 'count'> {
  readonly name: string
  readonly rate: Target
  readonly p99?: Target
  readonly appleMs: number
}

interface Doors {
  readonly socket: string
  readonly port: number
}

export const registration: Bench = async (scale, scope) => {
  const port = await freePort()
  const users = scale.of(60_000, 20_000)
  const { dir, apple } = await makeSite(scope, {
    users,
    xaps: {
      registration: { socket: 'xapsd.sock', listen: `127.0.0.1:${port}` },
      delivery: { source: 'plugin' },
      // Changes wait for longer than the benchmark takes: their pushes would fall into another figure.
      push: { change_delay: 3_600 },
    },
  })
  owned(scope, await serve(dir, profiling(scale.profileDir)))
  const ours = { socket: path.join(dir, 'xapsd.sock'), port }
  const socket = path.join(dir, 'bare.sock')
  const bareDoors = startPart<Outside>(scope, 'outside')
  const bare = { socket, port: await bareDoors.ask('startBareDoors', { socket }) }
  const load = startPart<Load>(scope, 'load')

  const rows: Row[] = []
  for (const plan of plansOf(scale)) {
    await apple.ask('latency', plan.appleMs)
    const by = (doors: Doors) => (round: number) => load.ask('run', jobOf(plan, doors, round, users))
    rows.push(...rowsOf(plan, await takeTurns(scale.of(4, 2), { ours: by(ours), bare: by(bare) })))
  }
  return rows
}

function plansOf(scale: Scale): readonly Plan[] {
  const least = (rate: number): Target => ({ of: 'figure', least: rate })
  const common = { event: 'MessageNew', count: scale.of(6_000, 2_500), appleMs: 0 } as const
  const register = { ...common, connections: 50, p99: { of: 'figure', most: 50 } } as const
  const notify = { ...common, kind: '/notify', connections: 1, rate: least(3_000) } as const
  return [
    { name: 'REGISTER', kind: 'REGISTER', ...register, rate: least(2_000) },
    { name: '/register', kind: '/register', ...register, rate: least(3_000) },
    { name: '/notify of changes,', ...notify, event: 'FlagsSet' },
    { name: '/notify of mail, pushed at once, Apple at 0 ms,', ...notify },
    { name: '/notify of mail, pushed at once, Apple at 100 ms,', ...notify, appleMs: 100 },
  ]
}

/** Other users in each round, as far as they go. */
function jobOf({ kind, event, connections, count }: Plan, doors: Doors, round: number, users: number): Job {
  const at = kind === 'REGISTER' ? doors.socket : doors.port
  return { kind, event, at, connections, count, from: (round * count) % (users - count) }
}

function rowsOf(
  { name, connections, rate, p99 }: Plan,
  { ours, bare }: Record<'ours' | 'bare', LoadResult[]>,
): Row[] {
  const rowOf = (what: string, unit: string, key: keyof LoadResult, target?: Target) => {
    const of = (results: LoadResult[]) => results.map(result => result[key])
    const full = `${name} ${what}, ${connections} connection${connections > 1 ? 's' : ''}`
    return row(full, unit, of(ours), ['nothing read, nothing kept', of(bare)], target)
  }
  return [rowOf('rate', '/s', 'perSecond', rate), rowOf('p99', 'ms', 'p99', p99)]
}
