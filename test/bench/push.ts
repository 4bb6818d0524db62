/** How many pushes per second, and at what cost, beside the library alone and HTTP/2 alone. */

import { type Baseline, type Bench, type Row, row, takeTurns } from './measure.ts'
import { type Part, profiling, startPart } from './part.ts'
import type { Client, PushApi } from './parts/push-bare.ts'
import { makeSite } from './site.ts'

const LATENCIES_MS = [0, 50, 100]
/** The streams that the stand-in allows, as Apple does. */
const IN_FLIGHT = 1_000

interface Sample {
  readonly cpuUs: number
  readonly perSecond: number
}

export const push: Bench = async (scale, scope) => {
  const count = scale.of(5_000, 3_000)
  const rounds = scale.of(9, 3)
  // Every round pushes users of its own: no window may keep a push from its time.
  const { dir, applePort: port, apple } = await makeSite(scope, { users: (rounds + 1) * count })
  const start = async (client: Client) => {
    const name = client === 'ours' ? 'push-ours' : 'push-bare'
    const part = startPart<PushApi>(scope, name, profiling(scale.profileDir))
    await part.ask('open', { dir, port, client })
    return sendingBy(part, count)
  }
  const clients = { ours: await start('ours'), apn: await start('apn'), http2: await start('http2') }
  const rows: Row[] = []
  for (const ms of LATENCIES_MS) {
    await apple.ask('latency', ms)
    rows.push(...rowsOf(`at ${ms} ms`, await takeTurns(rounds, clients)))
  }
  return rows
}

function sendingBy(part: Part<PushApi>, count: number): (round: number) => Promise<Sample> {
  return async round => {
    const { ms, cpuUs } = await part.ask('send', { from: round * count, count, inFlight: IN_FLIGHT })
    return { cpuUs: cpuUs / count, perSecond: (count * 1000) / ms }
  }
}

function rowsOf(at: string, samples: Readonly<Record<Client, readonly Sample[]>>): Row[] {
  const of = (client: Client, key: keyof Sample) => samples[client].map(sample => sample[key])
  const apn = (key: keyof Sample): Baseline => ['bare apn', of('apn', key)]
  const http2 = (key: keyof Sample): Baseline => ['bare node:http2', of('http2', key)]
  const cpu = of('ours', 'cpuUs')
  const rate = of('ours', 'perSecond')
  return [
    row(`CPU per push ${at}`, 'µs', cpu, apn('cpuUs'), { of: 'ratio', most: 1.25 }),
    row(`CPU per push ${at}`, 'µs', cpu, http2('cpuUs'), { of: 'ratio', most: 1.3 }),
    row(`pushes ${at}`, '/s', rate, apn('perSecond'), { of: 'ratio', least: 0.85 }),
    row(`pushes ${at}`, '/s', rate, http2('perSecond')),
  ]
}
