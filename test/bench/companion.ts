/** How much memory the companion takes, and how soon it is ready. */

import { spawnSync } from 'node:child_process'
import { freePort } from '../support/server.ts'
import { type Bench, type Row, rowOf, type Scale } from './bench.ts'
import { profiling, startCompanion } from './companion-process.ts'
import { startPart } from './part.ts'
import type { LoadApi } from './parts/load.ts'
import { memoryOf } from './process-use.ts'
import { takeTurns } from './rounds.ts'
import { cleanly, makeSite } from './site.ts'

const MB = 2 ** 20
const DEVICES = 100_000
const CONNECTIONS = 2_000

export const companion: Bench = scale =>
  cleanly(async cleanup => {
    const registration = async () => ({ socket: 'xapsd.sock', listen: `127.0.0.1:${await freePort()}` })
    const empty = await makeSite(cleanup, { users: 0, xaps: { registration: await registration() } })
    const listen = await freePort()
    const full = await makeSite(cleanup, {
      users: DEVICES,
      xaps: { registration: { ...(await registration()), listen: `127.0.0.1:${listen}` } },
    })
    return [...(await memoryRows(empty.dir, full.dir, listen, scale)), await startRow(full.dir, scale)]
  })

async function memoryRows(empty: string, full: string, port: number, scale: Scale): Promise<Row[]> {
  const { idle, busy, node } = await takeTurns(scale.of(3, 1), {
    idle: () => residentMb(empty, scale),
    busy: () => residentMb(full, scale, port),
    node: async () => bareNodeMb(),
  })
  const baseline = { what: 'node, doing nothing', values: node }
  return [
    rowOf({ what: 'resident at idle', unit: 'MB', ours: idle, baseline, target: { of: 'figure', most: 80 } }),
    rowOf({
      what: `resident with 100,000 devices and ${CONNECTIONS.toLocaleString('en')} connections`,
      unit: 'MB',
      ours: busy,
      baseline,
      target: { of: 'figure', most: 180 },
    }),
  ]
}

/** The memory of a fresh companion, with `port` after 2,000 clients have notified and stayed. */
async function residentMb(dir: string, { profileDir }: Scale, port?: number): Promise<number> {
  const server = await startCompanion(dir, profiling(profileDir))
  const load = startPart<LoadApi>('load')
  try {
    if (port !== undefined) await load.ask('hold', { port, connections: CONNECTIONS })
    return memoryOf(server.pid).total / MB
  } finally {
    await load.stop()
    await server.stop()
  }
}

function bareNodeMb(): number {
  const print = 'console.log(process.memoryUsage.rss())'
  return Number(spawnSync(process.execPath, ['-e', print], { encoding: 'utf8' }).stdout) / MB
}

async function startRow(dir: string, scale: Scale): Promise<Row> {
  const { ours, node } = await takeTurns(scale.of(7, 3), {
    async ours() {
      const start = performance.now()
      const server = await startCompanion(dir, profiling(scale.profileDir))
      const ms = performance.now() - start
      await server.stop()
      return ms
    },
    async node() {
      const start = performance.now()
      spawnSync(process.execPath, ['-e', '0'])
      return performance.now() - start
    },
  })
  return rowOf({
    what: 'start to ready with 100,000 devices',
    unit: 'ms',
    ours,
    baseline: { what: 'node -e 0', values: node },
    target: { of: 'figure', most: 500 },
  })
}
