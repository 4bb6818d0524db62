/**
 * Loaded into a Haraka before anything else: appends the microseconds of each lookup, a line each, to the file that
 * XAPS_BENCH_LOOKUPS names. With XAPS_BENCH_SEEN all users are listed before the first lookup, so that the process has
 * had every page of the store's file in its hands, as it has after some time.
 */

import { appendFileSync } from 'node:fs'
import { KeyedStore } from '../../../plugins/xaps/device/keyed-store.ts'

const FLUSH_MS = 100

const { XAPS_BENCH_LOOKUPS: file = '', XAPS_BENCH_SEEN: seen } = process.env
const { devices } = KeyedStore.prototype
const times: number[] = []
let seeing: Promise<void> | undefined

KeyedStore.prototype.devices = async function timed(user) {
  seeing ??= seen ? listAll(this) : Promise.resolve()
  await seeing
  const start = performance.now()
  const found = await devices.call(this, user)
  times.push((performance.now() - start) * 1000)
  return found
}

setInterval(() => {
  for (const time of times.splice(0)) appendFileSync(file, `${time}\n`)
}, FLUSH_MS).unref()

async function listAll(store: KeyedStore): Promise<void> {
  for await (const _ of store.users());
}
