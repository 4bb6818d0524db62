/** A process that takes the write lock of the LMDB environment in a directory and keeps it until it is killed. */

import { writeSync } from 'node:fs'
import { deviceFiles } from '../../plugins/xaps/device/lmdb/directory.ts'
import { openDatabase } from '../../plugins/xaps/device/lmdb/environment.ts'

async function main(directory: string): Promise<void> {
  const db = await openDatabase(deviceFiles(directory))
  db.transactionSync(() => {
    writeSync(1, 'held\n')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })
}

void main(process.argv[2] ?? '')
