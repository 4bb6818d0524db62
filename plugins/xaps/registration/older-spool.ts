/** The spool of version 0.1: a file of lines of JSON, the latest of a device last. It is read once, and then removed. */

import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { type Log, reasonOf } from '../base/log.ts'
import { type Registration, register } from '../device/record.ts'
import type { DeviceStore } from '../device/store.ts'

const FILE = 'registrations.jsonl'

/** Moves what the file in `directory` holds into `local`. Where that is impossible the file stays, and a line says why. */
export async function takeOlderSpool(
  directory: string,
  local: DeviceStore,
  maxDevices: number,
  log: Log,
): Promise<void> {
  const file = path.join(directory, FILE)
  try {
    const entries = readFileSync(file, 'utf8').split('\n').flatMap(entryIn)
    const updates = entries.map(({ user, ...registration }) =>
      local.update(user, record => register(record, registration, { maxDevices })),
    )
    await Promise.all(updates)
    rmSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    log.error('the spool of an earlier version cannot be read', { file, reason: reasonOf(error) })
  }
}

/** The entry in a line; none when the line is damaged, or half of one after a crash. */
function entryIn(line: string): (Registration & { readonly user: string })[] {
  try {
    const { at, mailboxes, user, account, token, subtopic, topic } = JSON.parse(line)
    const texts = [user, account, token, subtopic, topic, ...mailboxes]
    const isWhole = Number.isFinite(at) && texts.every(text => typeof text === 'string' && text !== '')
    return isWhole ? [{ at, mailboxes, user, account, token, subtopic, topic }] : []
  } catch {
    return []
  }
}
