/** A device store with many users in a process of its own: how long it takes to open, and what its operations cost then. */

import { fullKey, userKey } from '../../../plugins/xaps/device/codec.ts'
import { deviceFiles } from '../../../plugins/xaps/device/lmdb/directory.ts'
import { openDatabase, type TextDatabase } from '../../../plugins/xaps/device/lmdb/environment.ts'
import { openStore } from '../../../plugins/xaps/device/open.ts'
import { register } from '../../../plugins/xaps/device/record.ts'
import type { DeviceStore } from '../../../plugins/xaps/device/store.ts'
import { noLog } from '../../support/recorded-log.ts'
import { servePart } from '../part.ts'
import { memoryOf } from '../process-use.ts'
import { deviceOf, scattered, userName } from '../site.ts'

/** `get` is the lookup without our code: LMDB alone, with the same keys in the same file. */
export type Operation = 'lookup' | 'get' | 'registration' | 'claim'

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
  /** Nanoseconds per reading at random places of so much memory, each of which must wait for the one before. */
  read(bytes: number): number
}

const LINE_BYTES = 64
const READINGS = 200_000

let store: DeviceStore
let place: string
let file: TextDatabase | undefined
let next = 0

const OPERATIONS: Readonly<Record<Operation, (index: number) => Promise<unknown>>> = {
  lookup: index => store.devices(userName(index)),
  async get(index) {
    file ??= await openDatabase(deviceFiles(place.replace(/^lmdb:/, '')), true)
    return JSON.parse(file.get(fullKey('xaps', userKey(userName(index)))) ?? 'null')
  },
  registration: index =>
    store.update(userName(index), record =>
      register(record, { ...deviceOf(index), at: Date.now() }, { maxDevices: 50 }),
    ),
  claim: index => store.claim(userName(index), { ageMs: 0, windowMs: 1 }),
}

servePart<ScaleApi>({
  open: uri =>
    timed(async () => {
      place = uri
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
      while (next < end) await OPERATIONS[operation](scattered(next++, users))
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
  read(bytes) {
    const words = LINE_BYTES / Uint32Array.BYTES_PER_ELEMENT
    const lines = 2 ** Math.floor(Math.log2(bytes / LINE_BYTES))
    // Filled, so that it is memory; with zeros, which the compiler does not know to change nothing.
    const memory = new Uint32Array(lines * words).fill(0)
    const readings = (count: number) => {
      let at = 0
      for (let reading = 0; reading < count; reading++)
        at = (Math.imul(at, 1_664_525) + 1_013_904_223 + (memory[at * words] ?? 0)) & (lines - 1)
      return at
    }
    readings(READINGS)
    const start = performance.now()
    readings(READINGS)
    return ((performance.now() - start) * 1e6) / READINGS
  },
})

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}
