/** How many pushes per second, and at what cost, beside the library alone and HTTP/2 alone. */

import { type Bench, type Row, rowOf, type Scale } from './bench.ts'
import { type Part, startPart } from './part.ts'
import type { Client, PushApi } from './parts/push-bare.ts'
import { takeTurns } from './rounds.ts'
import { type Cleanup, cleanly, makeSite, type Site } from './site.ts'

const LATENCIES_MS = [0, 50, 100]
/** [apns] max_in_flight. */
const IN_FLIGHT = 500

interface Sample {
  readonly cpuUs: number
  readonly perSecond: number
}

export const push: Bench = scale =>
  cleanly(async cleanup => {
    const count = scale.of(5_000, 3_000)
    const rounds = scale.of(9, 3)
    // Every round pushes users of its own: no window may keep a push from its time.
    const site = await makeSite(cleanup, { users: (rounds + 1) * count })
    const clients = {
      ours: await startClient('ours', site, scale, cleanup),
      apn: await startClient('apn', site, scale, cleanup),
      http2: await startClient('http2', site, scale, cleanup),
    }
    const rows: Row[] = []
    for (const latencyMs of LATENCIES_MS) {
      await site.apple.ask('latency', latencyMs)
      rows.push(...(await measure(latencyMs, clients, count, rounds)))
    }
    return rows
  })

async function startClient(
  client: Client,
  { dir, applePort: port }: Site,
  { profileDir }: Scale,
  cleanup: Cleanup,
): Promise<Part<PushApi>> {
  const part = startPart<PushApi>(client === 'ours' ? 'push-ours' : 'push-bare', profileDir)
  cleanup.add(() => part.stop())
  await part.ask('open', { dir, port, client })
  return part
}

async function measure(
  latencyMs: number,
  clients: Readonly<Record<Client, Part<PushApi>>>,
  count: number,
  rounds: number,
): Promise<Row[]> {
  const sendBy = (client: Client) => async (round: number) => {
    const job = { from: round * count, count, inFlight: IN_FLIGHT }
    const { ms, cpuUs } = await clients[client].ask('send', job)
    return { cpuUs: cpuUs / count, perSecond: (count * 1000) / ms }
  }
  const samples = await takeTurns(rounds, {
    ours: sendBy('ours'),
    apn: sendBy('apn'),
    http2: sendBy('http2'),
  })
  const of = (client: Client, key: keyof Sample) => samples[client].map(sample => sample[key])
  const cpu = (client: Client) => ({ what: NAMES[client], values: of(client, 'cpuUs') })
  const rate = (client: Client) => ({ what: NAMES[client], values: of(client, 'perSecond') })
  const at = `at ${latencyMs} ms`
  const ours = { cpu: of('ours', 'cpuUs'), rate: of('ours', 'perSecond') }
  return [
    rowOf({
      what: `CPU per push ${at}`,
      unit: 'µs',
      ours: ours.cpu,
      baseline: cpu('apn'),
      target: { of: 'ratio', most: 1.25 },
    }),
    rowOf({ what: `CPU per push ${at}`, unit: 'µs', ours: ours.cpu, baseline: cpu('http2') }),
    rowOf({
      what: `pushes ${at}`,
      unit: '/s',
      ours: ours.rate,
      baseline: rate('apn'),
      target: { of: 'ratio', least: 0.85 },
    }),
    rowOf({ what: `pushes ${at}`, unit: '/s', ours: ours.rate, baseline: rate('http2') }),
  ]
}

const NAMES: Readonly<Record<Client, string>> = { ours: 'ours', apn: 'bare apn', http2: 'bare node:http2' }
