/** How much memory the companion takes, and how soon it is ready. */

import { spawnSync } from 'node:child_process'
import { serve } from '../e2e/run.ts'
import { owned, type Scope, scoped } from '../support/owned.ts'
import { freePort } from '../support/server.ts'
import { type Bench, type Row, row, type Scale, takeTurns } from './measure.ts'
import { profiling, startPart } from './part.ts'
import type { Load } from './parts/load.ts'
import { memoryOf } from './process-use.ts'
import { makeSite } from './site.ts'

const MB = 2 ** 20
const DEVICES = 100_000
const CONNECTIONS = 2_000

export const companion: Bench = async (scale, scope) => {
  const empty = await siteWith(scope, 0)
  const full = await siteWith(scope, DEVICES)
  return [...(await memoryRows(empty, full, scale)), await startRow(full.dir, scale)]
}

interface Site {
  readonly dir: string
  /** The companion's, for HTTP. */
  readonly port: number
}

async function siteWith(scope: Scope, users: number): Promise<Site> {
  const port = await freePort()
  const registration = { socket: 'xapsd.sock', listen: `127.0.0.1:${port}` }
  const { dir } = await makeSite(scope, { users, xaps: { registration } })
  return { dir, port }
}

async function memoryRows(empty: Site, full: Site, scale: Scale): Promise<Row[]> {
  const { idle, busy, node } = await takeTurns(scale.of(3, 1), {
    idle: () => residentMb(empty, 0, scale),
    busy: () => residentMb(full, CONNECTIONS, scale),
    node: async () => bareNodeMb(),
  })
  const baseline = ['node, doing nothing', node] as const
  const loaded = `resident with 100,000 devices and ${CONNECTIONS.toLocaleString('en')} connections`
  return [
    row('resident at idle', 'MB', idle, baseline, { of: 'figure', most: 80 }),
    row(loaded, 'MB', busy, baseline, { of: 'figure', most: 180 }),
  ]
}

/** The memory of a fresh companion, after so many clients have notified and stayed. */
function residentMb({ dir, port }: Site, connections: number, { profileDir }: Scale): Promise<number> {
  return scoped(async scope => {
    const { pid } = owned(scope, await serve(dir, profiling(profileDir)))
    await startPart<Load>(scope, 'load').ask('hold', { port, connections })
    return memoryOf(pid).total / MB
  })
}

function bareNodeMb(): number {
  const print = 'console.log(process.memoryUsage.rss())'
  return Number(spawnSync(process.execPath, ['-e', print], { encoding: 'utf8' }).stdout) / MB
}

async function startRow(dir: string, scale: Scale): Promise<Row> {
  const { ours, node } = await takeTurns(scale.of(7, 3), {
    async ours() {
      const start = performance.now()
      const server = await serve(dir, profiling(scale.profileDir))
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
  const target = { of: 'figure', most: 500 } as const
  return row('start to ready with 100,000 devices', 'ms', ours, ['node -e 0', node], target)
}
