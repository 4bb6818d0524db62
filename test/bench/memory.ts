/** The memory that an outage of Apple costs: by device that waits, whatever the number of mails. */

import { scoped } from '../support/owned.ts'
import { freePort } from '../support/server.ts'
import { type Bench, row, takeTurns } from './measure.ts'
import { profiling, startPart } from './part.ts'
import type { Pending } from './parts/pending.ts'
import type { Memory } from './process-use.ts'
import { makeSite } from './site.ts'

const MB = 2 ** 20
const DEVICES = 100_000

interface Fill {
  readonly before: Memory
  readonly after: Memory
}

export const memory: Bench = async (scale, scope) => {
  const users = scale.of(DEVICES, 20_000)
  const manyEvents = scale.of(1_000_000, 100_000)
  const { dir } = await makeSite(scope, { users, xaps: { apns: { port: await freePort() } } })
  /** In a new process, which has nothing left from another fill. */
  const fill = (push: boolean, events: number, users: number) => (): Promise<Fill> =>
    scoped(async own => {
      const part = startPart<Pending>(own, 'pending', ['--expose-gc', ...profiling(scale.profileDir)])
      await part.ask('open', { dir, push })
      return await part.ask('fill', { events, users })
    })
  const { many, map, few, oneEach } = await takeTurns(scale.of(2, 1), {
    many: fill(true, users, users),
    map: fill(false, users, users),
    few: fill(true, manyEvents, 1_000),
    oneEach: fill(true, 1_000, 1_000),
  })
  const perDevice = (fills: Fill[]) => fills.map(({ before, after }) => (after.own - before.own) / users)
  const total = (fills: Fill[]) => fills.map(({ after }) => after.total / MB)
  const count = (number: number) => number.toLocaleString('en')
  const inMap = 'kept in a Map and no more'
  const process = (what: string) => `process with ${what}`
  return [
    row(`per pending device, ${count(users)} of them`, 'bytes', perDevice(many), [inMap, perDevice(map)]),
    row(process(`${count(users)} pending devices`), 'MB', total(many), [inMap, total(map)]),
    row(process(`${count(manyEvents)} events for 1,000 devices`), 'MB', total(few), [
      'one event each',
      total(oneEach),
    ]),
  ]
}
