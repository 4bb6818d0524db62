/** From the `delivered` hook to Apple's endpoint: how long a mail waits inside the plugin, beside bare HTTP/2. */

import { until } from '../support/wait.ts'
import { type Bench, quantile, type Row, row, type Scale, type Target, takeTurns } from './measure.ts'
import { profiling, startPart } from './part.ts'
import type { Hook } from './parts/hook.ts'
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

function rowsOf({ name, target }: Load, { ours, bare }: Record<'ours' | 'bare', number[][]>): Row[] {
  const quantileRow = (label: string, share: number, bound?: Target) => {
    const at = (rounds: number[][]) => rounds.map(delays => quantile(delays, share))
    return row(`hook to Apple, ${label} at ${name}`, 'ms', at(ours), ['bare node:http2', at(bare)], bound)
  }
  return [quantileRow('p50', 0.5), quantileRow('p99', 0.99, target)]
}
