/** How fast registrations are taken and kept on disk, and notifications taken, beside Node answering and no more. */

import path from 'node:path'
import { freePort } from '../support/server.ts'
import { type Bench, type Row, rowOf, type Scale, type Target } from './bench.ts'
import { profiling, startCompanion } from './companion-process.ts'
import { type Part, startPart } from './part.ts'
import type { BareDoorsApi } from './parts/bare-doors.ts'
import type { Job, LoadApi, LoadResult } from './parts/load.ts'
import { takeTurns } from './rounds.ts'
import { type Cleanup, cleanly, makeSite, type Site } from './site.ts'

interface Plan {
  readonly name: string
  readonly kind: Job['kind']
  readonly event?: 'MessageNew' | 'FlagsSet'
  readonly connections: number
  readonly count: number
  readonly rate: Target
  readonly p99?: Target
  readonly appleMs: number
}

interface Doors {
  readonly socket: string
  readonly port: number
}

export const registration: Bench = scale =>
  cleanly(async cleanup => {
    const plans = plansOf(scale)
    const httpPort = await freePort()
    const users = scale.of(60_000, 20_000)
    const site = await makeSite(cleanup, {
      users,
      xaps: {
        registration: { socket: 'xapsd.sock', listen: `127.0.0.1:${httpPort}` },
        delivery: { source: 'plugin' },
        // Changes wait for longer than the benchmark takes: their pushes would fall into another figure.
        push: { change_delay: 3_600 },
      },
    })
    const companion = await startCompanion(site.dir, profiling(scale.profileDir))
    cleanup.add(() => companion.stop())
    const ours = { socket: path.join(site.dir, 'xapsd.sock'), port: httpPort }
    const bare = await startBareDoors(cleanup, site)
    const load = startPart<LoadApi>('load')
    cleanup.add(() => load.stop())

    const rows: Row[] = []
    for (const plan of plans) {
      await site.apple.ask('latency', plan.appleMs)
      const by = (doors: Doors) => (round: number) => load.ask('run', jobOf(plan, doors, round, users))
      rows.push(...rowsOf(plan, await takeTurns(scale.of(4, 2), { ours: by(ours), bare: by(bare) })))
    }
    return rows
  })

function plansOf(scale: Scale): readonly Plan[] {
  const count = scale.of(6_000, 2_500)
  const least = (rate: number): Target => ({ of: 'figure', least: rate })
  const p99: Target = { of: 'figure', most: 50 }
  const notify = { kind: '/notify', connections: 1, count, rate: least(3_000) } as const
  return [
    { name: 'REGISTER', kind: 'REGISTER', connections: 50, count, rate: least(2_000), p99, appleMs: 0 },
    { name: '/register', kind: '/register', connections: 50, count, rate: least(3_000), p99, appleMs: 0 },
    { name: '/notify of changes,', ...notify, event: 'FlagsSet', appleMs: 0 },
    { name: '/notify of mail, pushed at once, Apple at 0 ms,', ...notify, appleMs: 0 },
    { name: '/notify of mail, pushed at once, Apple at 100 ms,', ...notify, appleMs: 100 },
  ]
}

async function startBareDoors(cleanup: Cleanup, { dir }: Site): Promise<Doors> {
  const part: Part<BareDoorsApi> = startPart('bare-doors')
  cleanup.add(() => part.stop())
  const socket = path.join(dir, 'bare.sock')
  return { socket, port: await part.ask('start', { socket }) }
}

/** Other users in each round, as far as they go. */
function jobOf(plan: Plan, doors: Doors, round: number, users: number): Job {
  const { kind, event = 'MessageNew', connections, count } = plan
  const at = kind === 'REGISTER' ? doors.socket : doors.port
  return { kind, event, at, connections, count, from: (round * count) % (users - count) }
}

function rowsOf(
  { name, connections, rate, p99 }: Plan,
  samples: Record<'ours' | 'bare', LoadResult[]>,
): Row[] {
  const row = (what: string, unit: string, key: keyof LoadResult, target: Target | undefined) =>
    rowOf({
      what: `${name} ${what}, ${connections} connection${connections > 1 ? 's' : ''}`,
      unit,
      ours: samples.ours.map(result => result[key]),
      baseline: { what: 'nothing read, nothing kept', values: samples.bare.map(result => result[key]) },
      ...(target && { target }),
    })
  return [row('rate', '/s', 'perSecond', rate), row('p99', 'ms', 'p99', p99)]
}
