/** A Haraka directory for one bench: credentials, xaps.ini, and a device store with as many users as wanted. */

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Device } from '../../plugins/xaps/device/device.ts'
import { openStore } from '../../plugins/xaps/device/open.ts'
import { register } from '../../plugins/xaps/device/record.ts'
import { iniText, type Sections } from '../e2e/setup.ts'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { owned, type Scope } from '../support/owned.ts'
import { noLog } from '../support/recorded-log.ts'
import { tempDirectory } from '../support/temp.ts'
import { type Part, startPart } from './part.ts'
import type { Outside } from './parts/outside.ts'

const DAY_MS = 86_400_000
/** How many registrations are stored at a time: LMDB commits them together, and Redis has two seconds for all of them. */
const BATCH = 1_000
/** A prime that divides no number of users here. */
const STRIDE = 7_919

/** The device of user number `index`: a phone with one account. */
export function deviceOf(index: number): Omit<Device, 'registeredAt' | 'lastSeen'> {
  const digits = index.toString(16).padStart(12, '0')
  return {
    account: `0715A26B-CA09-4730-A419-${digits.toUpperCase()}`,
    token: `${'a1b2c3d4e5f60718'.repeat(3)}0000${digits}`,
    mailboxes: ['INBOX', 'Notes', 'Sent Messages'],
    subtopic: 'com.apple.mobilemail',
    topic: MAIL_TOPIC,
  }
}

export function userName(index: number): string {
  return `user${index}@example.com`
}

/** The number of one of `users` users, another for each `index` below `users`, in no order of their names. */
export function scattered(index: number, users: number): number {
  return (index * STRIDE) % users
}

export interface Site {
  readonly dir: string
  readonly apple: Part<Outside>
  /** Where Apple listens. */
  readonly applePort: number
}

export interface SiteOptions {
  /** How many users have a device. */
  readonly users: number
  /** More of xaps.ini, or other values. */
  readonly xaps?: Sections
  /** Keep the arrival time of every push. */
  readonly stamps?: boolean
}

/** Makes the directory, fills the store, starts an Apple stand-in as a process. */
export async function makeSite(scope: Scope, { users, xaps, stamps = false }: SiteOptions): Promise<Site> {
  const { path: dir } = owned(scope, tempDirectory('xaps-bench-'))
  const apple = startPart<Outside>(scope, 'outside')
  const applePort = await apple.ask('startApple', { dir: path.join(dir, 'apple'), stamps })
  mkdirSync(path.join(dir, 'config'))
  writeFileSync(path.join(dir, 'config', 'smtp.ini'), 'nodes=0\n')
  writeFileSync(path.join(dir, 'config', 'xaps.ini'), xapsIni(dir, applePort, xaps))
  await fillStore(`lmdb:${path.join(dir, 'xaps')}`, users)
  return { dir, apple, applePort }
}

/** The text of a xaps.ini that leads to the stand-in; `dir` is the site's, where its files lie. */
export function xapsIni(dir: string, applePort: number, more: Sections = {}): string {
  const file = (name: string) => path.join(dir, 'apple', name)
  const apns = { certificate: file('certificate.pem'), key: file('key.pem'), ca: file('ca.pem') }
  return iniText({
    ...more,
    apns: { ...apns, host: '127.0.0.1', port: applePort, ...more.apns },
    store: { uri: `lmdb:${path.join(dir, 'xaps')}`, ...more.store },
    registration: { enabled: 'false', ...more.registration },
  })
}

/** Registers `deviceOf(index)` for every user from 0 to `users`. */
export async function fillStore(uri: string, users: number): Promise<void> {
  const options = { uri, namespace: 'xaps', expireAfterMs: 30 * DAY_MS, harakaDir: '/', log: noLog }
  const store = await openStore(options)
  const at = Date.now() - DAY_MS
  for (let from = 0; from < users; from += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, users - from) }, (_, i) => from + i)
    const save = (index: number) =>
      store.update(userName(index), record =>
        register(record, { ...deviceOf(index), at }, { maxDevices: 50 }),
      )
    await Promise.all(batch.map(save))
  }
  await store.close()
}
