/** From the `delivered` hook, or a /notify, to Apple's endpoint: how long a mail waits inside, beside bare HTTP/2. */

import { serve } from '../e2e/run.ts'
import { owned } from '../support/owned.ts'
import { freePort } from '../support/server.ts'
import { until } from '../support/wait.ts'
import { type Bench, quantile, type Row, row, type Scale, type Target, takeTurns } from './measure.ts'
import { profiling, startPart } from './part.ts'
import type { Hook } from './parts/hook.ts'
import type { Load as Client } from './parts/load.ts'
import type { Stamp } from './parts/outside.ts'
import type { BarePush } from './parts/push-bare.ts'
import { makeSite, type Site } from './site.ts'

interface Load {
  readonly name: string
  readonly perSecond: number
  readonly seconds: number
  readonly target?: Target
}

export const latency: Bench = async (scale, scope) => {
  const loads = loadsOf(scale)
  const mails = loads.map(({ perSecond, seconds }) => perSecond * seconds)
  const rounds = scale.of(2, 1)
  // Every mail to a user of its own: a second one would wait for the window's end.
  const users = (rounds + 1) * mails.reduce((sum, count) => sum + count)
  const site = await makeSite(scope, { users, stamps: true })
  const hook = startPart<Hook>(scope, 'hook', profiling(scale.profileDir))
  await hook.ask('open', { dir: site.dir })
  const bare = startPart<BarePush>(scope, 'push-bare')
  await bare.ask('open', { dir: site.dir, port: site.applePort, client: 'http2' })

  const rows: Row[] = []
  let from = 0
  for (const load of loads) {
    const count = load.perSecond * load.seconds
    const first = from
    const job = (round: number) => ({ from: first + round * count, count, perSecond: load.perSecond })
    const samples = await takeTurns(rounds, {
      ours: round => delays(site, count, hook.ask('deliver', job(round))),
      bare: round => delays(site, count, bare.ask('sendPaced', job(round))),
    })
    rows.push(...rowsOf(load, samples))
    from += (rounds + 1) * count
  }
  return rows
}

const NOTIFICATIONS = 500

/** From a /notify of mail to Apple's endpoint, when one client sends each after the answer to the last. */
export const notify: Bench = async (scale, scope) => {
  const port = await freePort()
  const rounds = scale.of(4, 2)
  const site = await makeSite(scope, {
    users: (rounds + 1) * NOTIFICATIONS,
    stamps: true,
    xaps: {
      registration: { socket: 'xapsd.sock', listen: `127.0.0.1:${port}` },
      delivery: { source: 'plugin' },
    },
  })
  owned(scope, await serve(site.dir, profiling(scale.profileDir)))
  const load = startPart<Client>(scope, 'load')
  const bare = startPart<BarePush>(scope, 'push-bare')
  await bare.ask('open', { dir: site.dir, port: site.applePort, client: 'http2' })
  const samples = await takeTurns(rounds, {
    ours: round => {
      const job = { port, from: round * NOTIFICATIONS, count: NOTIFICATIONS }
      return delays(site, NOTIFICATIONS, load.ask('notifyInTurn', job))
    },
    bare: round => {
      const job = { from: round * NOTIFICATIONS, count: NOTIFICATIONS, perSecond: 1_000 }
      return delays(site, NOTIFICATIONS, bare.ask('sendPaced', job))
    },
  })
  return quantilesOf('/notify', 'one after the other', samples, { p50: 1, p99: 5 })
}

function loadsOf(scale: Scale): readonly Load[] {
  const target: Target = { of: 'figure', most: 10 }
  return [
    { name: '20 mails/s', perSecond: 20, seconds: scale.of(10, 4), target },
    { name: '1,000 mails/s', perSecond: 1_000, seconds: scale.of(5, 2) },
  ]
}

/** Milliseconds from each hand-over to the arrival of its push. */
async function delays({ apple }: Site, count: number, handingOver: Promise<Stamp[]>): Promise<number[]> {
  const starts = new Map(await handingOver)
  const arrivals: Stamp[] = []
  await until(async () => {
    arrivals.push(...(await apple.ask('takeStamps')))
    return arrivals.length >= count
  }, `${count} pushes`)
  return arrivals.map(([token, epoch]) => epoch - (starts.get(token) ?? Number.NaN))
}

function rowsOf({ name, target }: Load, samples: Samples): Row[] {
  return quantilesOf('hook', `at ${name}`, samples, target?.most === undefined ? {} : { p99: target.most })
}

type Samples = Record<'ours' | 'bare', number[][]>

/** Rows for p50 and p99 in milliseconds; `most`: the bounds. */
function quantilesOf(
  from: string,
  when: string,
  { ours, bare }: Samples,
  most: { readonly p50?: number; readonly p99?: number },
): Row[] {
  return (['p50', 'p99'] as const).map(label => {
    const at = (rounds: number[][]) => rounds.map(delays => quantile(delays, label === 'p50' ? 0.5 : 0.99))
    const bound = most[label] === undefined ? undefined : ({ of: 'figure', most: most[label] } as const)
    return row(`${from} to Apple, ${label} ${when}`, 'ms', at(ours), ['bare node:http2', at(bare)], bound)
  })
}
