/** A Haraka directory with a store of many devices, for tests of the command as a process. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { openStore } from '../../plugins/xaps/device/open.ts'
import type { DeviceStore } from '../../plugins/xaps/device/store.ts'
import { registering, silentLog } from '../device/fixtures.ts'
import { owned, type Scope } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

export interface Filled {
  readonly dir: string
  /** Open until the test ends. */
  readonly store: DeviceStore
}

/** A device for each of `users`, and an empty xaps.ini. All ends with the test. */
export async function storeOf(t: Scope, users: readonly string[]): Promise<Filled> {
  const { path: dir } = owned(t, tempDirectory())
  mkdirSync(path.join(dir, 'config'))
  writeFileSync(path.join(dir, 'config', 'xaps.ini'), '')
  const place = { uri: 'lmdb:xaps', namespace: 'xaps', expireAfterMs: 86_400_000, harakaDir: dir }
  const store = owned(t, await openStore({ ...place, log: silentLog }))
  await Promise.all(users.map(user => store.update(user, registering('aa'.repeat(32)))))
  return { dir, store }
}

/** Names of so many users, in the order of the store. */
export const manyUsers = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `user${String(index).padStart(5, '0')}`)

/** So many looks in a row must find it unchanged. */
const IDLE_LOOKS = 10

/** For `until`: whether a process that has written something has used no processor time since some looks ago. */
export function isIdle(pid: number): () => boolean {
  const looks: string[] = []
  return () => {
    const [written = '0'] = /(?<=^wchar: )\d+/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8')) ?? []
    const [utime, stime] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
      .slice(11)
    looks.unshift([written, utime, stime].join())
    return (
      Number(written) > 100_000 && new Set(looks.slice(0, IDLE_LOOKS)).size === 1 && looks.length > IDLE_LOOKS
    )
  }
}
