/** A directory for one test, gone when the test is. */

import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

export interface TempDirectory {
  readonly path: string
  /** Removes the directory and all below it; again is no error. */
  remove(): void
}

const remaining = new Set<string>()

/**
 * Makes an empty directory that every user may enter (servers in tests run as other users than the test). It is
 * removed when the test process exits, unless `remove` was called before.
 */
export function tempDirectory(prefix = 'xaps-test-'): TempDirectory {
  const directory = mkdtempSync(path.join(realpathSync(os.tmpdir()), prefix))
  chmodSync(directory, 0o755)
  remaining.add(directory)
  return { path: directory, remove: () => removeDirectory(directory) }
}

function removeDirectory(directory: string): void {
  remaining.delete(directory)
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 })
}

process.once('exit', () => {
  for (const directory of remaining) removeDirectory(directory)
})
