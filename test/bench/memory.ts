/** The memory that an outage of Apple costs: by device that waits, whatever the number of mails. */

import { freePort } from '../support/server.ts'
import { type Bench, rowOf, type Scale } from './bench.ts'
import { startPart } from './part.ts'
import type { PendingApi } from './parts/pending.ts'
import type { Memory } from './process-use.ts'
import { takeTurns } from './rounds.ts'
import { cleanly, makeSite } from './site.ts'

const MB = 2 ** 20
const DEVICES = 100_000

export const memory: Bench = scale =>
  cleanly(async cleanup => {
    const users = scale.of(DEVICES, 20_000)
    const closed = await freePort()
    const { dir } = await makeSite(cleanup, { users, xaps: { apns: { port: closed } } })
    const of = (push: boolean, events: number, users: number) => () => fill(dir, push, events, users, scale)
    const { many, map, few, oneEach } = await takeTurns(scale.of(2, 1), {
      many: of(true, users, users),
      map: of(false, users, users),
      few: of(true, scale.of(1_000_000, 100_000), 1_000),
      oneEach: of(true, 1_000, 1_000),
    })
    const perDevice = (fills: Fill[]) => fills.map(({ before, after }) => (after.own - before.own) / users)
    const total = (fills: Fill[]) => fills.map(({ after }) => after.total / MB)
    const count = (number: number) => number.toLocaleString('en')
    return [
      rowOf({
        what: `per pending device, ${count(users)} of them`,
        unit: 'bytes',
        ours: perDevice(many),
        baseline: { what: 'kept in a Map and no more', values: perDevice(map) },
      }),
      rowOf({
        what: `process with ${count(users)} pending devices`,
        unit: 'MB',
        ours: total(many),
        baseline: { what: 'kept in a Map and no more', values: total(map) },
      }),
      rowOf({
        what: `process with ${count(scale.of(1_000_000, 100_000))} events for 1,000 devices`,
        unit: 'MB',
        ours: total(few),
        baseline: { what: 'one event each', values: total(oneEach) },
      }),
    ]
  })

interface Fill {
  readonly before: Memory
  readonly after: Memory
}

/** In a new process, which has nothing left from another fill. */
async function fill(dir: string, push: boolean, events: number, users: number, scale: Scale): Promise<Fill> {
  const part = startPart<PendingApi>('pending', scale.profileDir, ['--expose-gc'])
  try {
    await part.ask('open', { dir, push })
    return await part.ask('fill', { events, users })
  } finally {
    await part.stop()
  }
}
