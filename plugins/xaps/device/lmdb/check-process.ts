/**
 * The process that reads an LMDB environment to its end, so that no other has to die of it (check.ts). Arguments:
 * the directory, and `read` or `write`, as it will be used later. It says OPENED when it has opened it, and ends
 * with 0, with DAMAGED and a reason, or with 1 and a reason when it cannot tell. It changes nothing.
 */

import { writeSync } from 'node:fs'
import { ABORT, open, type RootDatabase } from 'lmdb'
import { DAMAGED, OPENED } from './check.ts'

/** LMDB's code for "too many readers at the moment"; its other codes are negative, too, those of the system are not. */
const READERS_FULL = -30790

/** More pages in a row than are free anywhere, so that LMDB goes through the whole list of those that are. */
const LARGE_BYTES = 4 * 1024 * 1024

function check(directory: string, readOnly: boolean): void {
  const db = open<Buffer, Buffer>({
    path: directory,
    noSubdir: false,
    readOnly,
    encoding: 'binary',
    keyEncoding: 'binary',
    useVersions: true,
    overlappingSync: false,
  })
  writeSync(1, OPENED)
  readAll(db)
  if (!readOnly) followFreeList(db)
}

/** Damaged pages that can be read show in keys that are out of order, and in their number. */
function readAll(db: RootDatabase<Buffer, Buffer>): void {
  const { entryCount } = db.getStats() as { entryCount: number }
  let count = 0
  let last: Buffer | undefined
  for (const { key } of db.getRange()) {
    if (last && Buffer.compare(last, key) >= 0) throw new Error('its keys are out of order')
    last = key
    count++
  }
  if (count !== entryCount) throw new Error(`it has ${count} of ${entryCount} entries`)
}

/** Takes the steps of a writer before it writes, and no more. */
function followFreeList(db: RootDatabase<Buffer, Buffer>): void {
  const key = Buffer.from('\x01check')
  db.transactionSync(() => {
    void db.put(key, Buffer.alloc(LARGE_BYTES))
    // That put has failed shows only here.
    db.get(key)
    return ABORT
  })
}

function main([directory = '', mode]: readonly string[]): number {
  try {
    check(directory, mode !== 'write')
    return 0
  } catch (error) {
    const { code = 0, message } = error as Error & { code?: number }
    writeSync(1, message)
    return code <= 0 && code !== READERS_FULL ? DAMAGED : 1
  }
}

// Without closing: the last process to close an environment destroys its locks, even while another is opening it.
process.exit(main(process.argv.slice(2)))
