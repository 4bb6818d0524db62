/** A device store in a process of its own, and the same keys and texts read and written without our code. */

import path from 'node:path'
import { createClient } from '@keyv/redis'
import { open } from 'lmdb'
import { openStore } from '../../../plugins/xaps/device/open.ts'
import { register } from '../../../plugins/xaps/device/record.ts'
import type { DeviceStore } from '../../../plugins/xaps/device/store.ts'
import { noLog } from '../../support/recorded-log.ts'
import { servePart } from '../part.ts'
import { deviceOf, userName } from '../site.ts'
import { inParallel } from '../work.ts'

export type Operation = 'devices' | 'update' | 'claim'

interface Job {
  readonly operation: Operation
  readonly from: number
  readonly count: number
  readonly atOnce: number
}

type Operations = Readonly<Record<Operation, (index: number) => Promise<unknown>>>

let operations: Operations | undefined

const api = servePart({
  /** Opens the store `uri`, ours or, `bare`, its library in a place of its own below `dir`. */
  async open({ uri, dir, bare }: { uri: string; dir: string; bare: boolean }) {
    if (!bare) {
      const options = { uri, namespace: 'xaps', expireAfterMs: 30 * 86_400_000, harakaDir: dir, log: noLog }
      operations = ours(await openStore(options))
    } else operations = uri.startsWith('lmdb:') ? bareLmdb(dir) : await bareRedis(uri)
  },
  /** Does `count` operations, so many at once. Resolves with microseconds of time per operation. */
  async run({ operation, from, count, atOnce }: Job) {
    const run = operations?.[operation]
    if (!run) throw new Error('not open')
    return ((await inParallel(count, atOnce, index => run(from + index))) * 1000) / count
  },
})

export type Store = typeof api

function ours(store: DeviceStore): Operations {
  return {
    devices: index => store.devices(userName(index)),
    update: index =>
      store.update(userName(index), record =>
        register(record, { ...deviceOf(index), at: Date.now() }, { maxDevices: 50 }),
      ),
    claim: index => store.claim(userName(index), { ageMs: 0, windowMs: 5_000 }),
  }
}

/** The value under a key: about as long as one of our records. */
function textOf(index: number): string {
  const times = { registeredAt: Date.now(), lastSeen: Date.now() }
  return JSON.stringify({ value: { devices: [{ ...deviceOf(index), ...times }], gone: [] } })
}

function bareLmdb(dir: string): Operations {
  const options = { encoding: 'string', overlappingSync: false } as const
  const db = open<string, string>({ path: path.join(dir, 'bare'), ...options })
  const claims = open<string, string>({ path: path.join(dir, 'bare-claims'), noSync: true, ...options })
  return {
    devices: async index => JSON.parse(db.get(userName(index)) ?? 'null'),
    update: index => db.put(userName(index), textOf(index)),
    claim: index => claims.put(userName(index), String(Date.now())),
  }
}

async function bareRedis(url: string): Promise<Operations> {
  const client = createClient({ url })
  await client.connect()
  return {
    devices: async index => JSON.parse((await client.get(`bare:${userName(index)}`)) ?? 'null'),
    update: index => client.set(`bare:${userName(index)}`, textOf(index)),
    claim: index => client.set(`bare-claim:${userName(index)}`, '1', { PX: 5_000, NX: true }),
  }
}
