/** A device store with many users in a process of its own: how long it takes to open, and what its operations cost then. */

import { openStore } from '../../../plugins/xaps/device/open.ts'
import { register } from '../../../plugins/xaps/device/record.ts'
import type { DeviceStore } from '../../../plugins/xaps/device/store.ts'
import { noLog } from '../../support/recorded-log.ts'
import { servePart } from '../part.ts'
import { memoryOf } from '../process-use.ts'
import { deviceOf, userName } from '../site.ts'

export type Operation = 'lookup' | 'registration' | 'claim'

export interface ScaleApi {
  /** Opens the store and looks the first user up. Resolves with milliseconds. */
  open(uri: string): Promise<number>
  /** Microseconds per operation, `atOnce` at a time, each of another of the first `users`, in no order of theirs. */
  run(job: { operation: Operation; users: number; count: number; atOnce: number }): Promise<number>
  /** Milliseconds to list all users with their devices, and to look for what has expired. */
  list(): Promise<number>
  sweep(): Promise<number>
  /** Bytes of memory that are the process's own. */
  memory(): Promise<number>
}

/** Coprime to every number of users that is measured. */
const STRIDE = 7_919

let store: DeviceStore
let next = 0

const OPERATIONS: Readonly<Record<Operation, (index: number) => Promise<unknown>>> = {
  lookup: index => store.devices(userName(index)),
  registration: index =>
    store.update(userName(index), record =>
      register(record, { ...deviceOf(index), at: Date.now() }, { maxDevices: 50 }),
    ),
  claim: index => store.claim(userName(index), { ageMs: 0, windowMs: 1 }),
}

servePart<ScaleApi>({
  open: uri =>
    timed(async () => {
      store = await openStore({
        uri,
        namespace: 'xaps',
        expireAfterMs: 30 * 86_400_000,
        harakaDir: '/',
        log: noLog,
      })
      await store.devices(userName(0))
    }),
  async run({ operation, users, count, atOnce }) {
    const end = next + count
    const worker = async () => {
      while (next < end) await OPERATIONS[operation]((next++ * STRIDE) % users)
    }
    const ms = await timed(() => Promise.all(Array.from({ length: atOnce }, worker)))
    return (ms * 1000) / count
  },
  list: () =>
    timed(async () => {
      for await (const _ of store.users());
    }),
  sweep: () => timed(() => store.sweep()),
  memory: async () => memoryOf(process.pid).own,
})

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}
